// RFC 6749, section 4.3.
import { errors } from 'oidc-provider';
import { isPassword } from '../people.js';
import { issue } from './issue.js';

export const name = 'password';
export const parameters = ['username', 'password', 'scope'];

export async function handler(ctx, next) {
  const { username, password } = ctx.oidc.params;
  if (!isPassword(username, password)) throw new errors.InvalidGrant('invalid_username_or_password');
  ctx.body = await issue(ctx, username, name);
  await next();
}
