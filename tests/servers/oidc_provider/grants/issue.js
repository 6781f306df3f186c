// Tokens for a person who has no session here.
export async function issue(ctx, accountId, gty) {
  const { provider, client, requestParamScopes } = ctx.oidc;
  const { AccessToken, Account, Grant, IdToken, RefreshToken } = provider;
  const scope = [...requestParamScopes].join(' ');
  const account = await Account.findAccount(ctx, accountId);
  ctx.oidc.entity('Account', account);
  const grant = new Grant({ accountId, clientId: client.clientId });
  grant.addOIDCScope(scope);
  const shared = { accountId, client, grantId: await grant.save(), gty, scope };
  const accessToken = new AccessToken(shared);
  const answer = {
    access_token: await accessToken.save(),
    expires_in: accessToken.expiration,
    scope,
    token_type: 'Bearer',
  };
  if (requestParamScopes.has('offline_access')) answer.refresh_token = await new RefreshToken(shared).save();
  if (requestParamScopes.has('openid')) {
    const idToken = new IdToken(await account.claims('id_token', scope), { ctx });
    idToken.scope = scope;
    idToken.set('at_hash', answer.access_token);
    answer.id_token = await idToken.issue({ use: 'idtoken' });
  }
  return answer;
}
