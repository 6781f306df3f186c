// What this provider offers: as much of the standards as it knows.
import { errors } from 'oidc-provider';
import { makeClients } from './clients.js';
import { findAccount } from './people.js';

const BANK = {
  accessTokenFormat: 'jwt',
  audience: 'https://bank.example/',
  jwt: { sign: { alg: 'ES256' } },
  scope: 'bankservice api',
};

function getResourceServerInfo(ctx, resource) {
  if (resource !== BANK.audience) throw new errors.InvalidTarget();
  return BANK;
}

export function makeConfiguration({ keys, assertionKey }) {
  return {
    acrValues: ['mfa', 'verify'],
    claims: { acr: null, auth_time: null, email: ['email', 'email_verified'], openid: ['sub'] },
    clients: makeClients(assertionKey),
    cookies: { keys: ['a key of the tests'] },
    enabledJWA: {
      clientAuthSigningAlgValues: ['ES256'],
      idTokenSigningAlgValues: ['ES256', 'EdDSA', 'HS256', 'PS256', 'RS256'],
    },
    features: {
      backchannelLogout: { enabled: true },
      clientCredentials: { enabled: true },
      deviceFlow: { enabled: true },
      devInteractions: { enabled: false },
      introspection: { enabled: true },
      registration: { enabled: true },
      resourceIndicators: {
        defaultResource: () => undefined,
        enabled: true,
        getResourceServerInfo,
      },
      revocation: { enabled: true },
      rpInitiatedLogout: { enabled: true },
    },
    findAccount,
    interactions: { url: (ctx, interaction) => `/interaction/${interaction.uid}` },
    jwks: { keys },
    responseTypes: ['code', 'id_token', 'id_token token', 'code id_token', 'code token', 'code id_token token', 'none'],
    rotateRefreshToken: true,
    scopes: ['openid', 'offline_access', 'email', 'bankservice', 'api'],
    ttl: {
      AccessToken: 3600,
      AuthorizationCode: 60,
      ClientCredentials: 600,
      DeviceCode: 600,
      Grant: 86400,
      IdToken: 3600,
      Interaction: 3600,
      RefreshToken: 86400,
      Session: 86400,
    },
  };
}
