// RFC 8693, as far as an access token becomes another one of the same person.
import { errors } from 'oidc-provider';
import { issue } from './issue.js';

const ACCESS_TOKEN = 'urn:ietf:params:oauth:token-type:access_token';

export const name = 'urn:ietf:params:oauth:grant-type:token-exchange';
export const parameters = ['subject_token', 'subject_token_type', 'requested_token_type', 'audience', 'scope'];

export async function handler(ctx, next) {
  const { provider, params } = ctx.oidc;
  if (params.subject_token_type !== ACCESS_TOKEN) throw new errors.InvalidRequest('subject_token_type is unknown');
  const subject = await provider.AccessToken.find(params.subject_token);
  if (!subject) throw new errors.InvalidGrant('subject_token is not good');
  const { refresh_token: _, id_token: __, ...answer } = await issue(ctx, subject.accountId, name);
  ctx.body = { ...answer, issued_token_type: ACCESS_TOKEN };
  await next();
}
