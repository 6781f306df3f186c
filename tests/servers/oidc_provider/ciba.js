// End-users who are asked on a device of their own: alice agrees, bob does not.
import { errors } from 'oidc-provider';

async function decide(ctx, request, account, client) {
  const { provider } = ctx.oidc;
  if (account.accountId === 'bob') {
    await provider.backchannelResult(request, new errors.AccessDenied('not now'));
    return;
  }
  const grant = new provider.Grant({ accountId: account.accountId, clientId: client.clientId });
  grant.addOIDCScope(request.scope);
  await grant.save();
  await provider.backchannelResult(request, grant.jti, { acr: 'mfa' });
}

export const ciba = {
  enabled: true,
  deliveryModes: ['poll', 'ping'],
  processLoginHint: (ctx, hint) => hint,
  // The decision comes after the response, as an end-user's would.
  triggerAuthenticationDevice: async (ctx, request, account, client) => {
    setTimeout(() => decide(ctx, request, account, client), 0);
  },
  validateBindingMessage: () => {},
  validateRequestContext: () => {},
  verifyUserCode: () => {},
};
