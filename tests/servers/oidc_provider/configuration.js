// What this provider offers: as much of the standards as it knows.
import { randomBytes } from 'node:crypto';
import { Agent } from 'node:https';
import { errors } from 'oidc-provider';
import { certificateAuthorized, certificateSubjectMatches, getCertificate } from './certificates.js';
import { makeClients } from './clients.js';
import { ciba } from './ciba.js';
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

export function makeConfiguration({ keys, assertionKey, certificates, secureUrl }) {
  return {
    acrValues: ['mfa', 'verify'],
    claims: { acr: null, auth_time: null, email: ['email', 'email_verified'], openid: ['sub'] },
    clientAuthMethods: [
      'client_secret_basic',
      'client_secret_jwt',
      'client_secret_post',
      'none',
      'private_key_jwt',
      'self_signed_tls_client_auth',
      'tls_client_auth',
    ],
    clients: makeClients(assertionKey, certificates.registered),
    cookies: { keys: ['a key of the tests'] },
    discovery: {
      mtls_endpoint_aliases: {
        backchannel_authentication_endpoint: `${secureUrl}/backchannel`,
        pushed_authorization_request_endpoint: `${secureUrl}/request`,
        token_endpoint: `${secureUrl}/token`,
        userinfo_endpoint: `${secureUrl}/me`,
      },
    },
    enabledJWA: {
      dPoPSigningAlgValues: ['ES256', 'EdDSA', 'PS256'],
      authorizationSigningAlgValues: ['ES256', 'PS256', 'RS256'],
      clientAuthSigningAlgValues: ['ES256', 'HS256'],
      idTokenSigningAlgValues: ['ES256', 'EdDSA', 'HS256', 'PS256', 'RS256'],
      requestObjectSigningAlgValues: ['ES256', 'PS256', 'RS256'],
      userinfoSigningAlgValues: ['ES256', 'PS256', 'RS256'],
    },
    features: {
      backchannelLogout: { enabled: true },
      ciba,
      clientCredentials: { enabled: true },
      deviceFlow: { enabled: true },
      encryption: { enabled: true },
      // It keeps these clients to the profile's own rules, such as the assertion's audience.
      fapi: { enabled: true, profile: (ctx, client) => (client?.clientId.startsWith('fapi') ? '2.0' : undefined) },
      devInteractions: { enabled: false },
      // Each proof needs a nonce; which is good changes by the minute.
      dPoP: { enabled: true, nonceSecret: randomBytes(32), requireNonce: () => true },
      introspection: { enabled: true },
      jwtResponseModes: { enabled: true },
      jwtUserinfo: { enabled: true },
      mTLS: {
        certificateAuthorized,
        certificateBoundAccessTokens: true,
        certificateSubjectMatches,
        enabled: true,
        getCertificate,
        selfSignedTlsClientAuth: true,
        tlsClientAuth: true,
      },
      pushedAuthorizationRequests: { enabled: true },
      registration: { enabled: true },
      registrationManagement: { enabled: true, rotateRegistrationAccessToken: true },
      requestObjects: { mode: 'strict', request: true },
      resourceIndicators: {
        defaultResource: () => undefined,
        enabled: true,
        getResourceServerInfo,
      },
      revocation: { enabled: true },
      rpInitiatedLogout: { enabled: true },
    },
    findAccount,
    // Where notifications go, by the authority of the tests.
    httpOptions: (url) => (url.protocol === 'https:' ? { agent: new Agent({ ca: certificates.tls.ca }) } : {}),
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
