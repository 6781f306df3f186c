// Grants that oidc-provider does not bring along.
import * as password from './password.js';
import * as tokenExchange from './token_exchange.js';

export function registerGrants(provider) {
  for (const { name, parameters, handler } of [password, tokenExchange]) {
    provider.registerGrantType(name, handler, parameters);
  }
}
