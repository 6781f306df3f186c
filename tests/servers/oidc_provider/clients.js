// The clients' registrations: one for each way to authenticate, sign or answer.
import { publicPart } from './keys.js';

const SECRET = 's3cr3tV@lue!+%';
const CALLBACK = 'http://127.0.0.1/callback';
const DEVICE = 'urn:ietf:params:oauth:grant-type:device_code';
const EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange';

const machine = {
  client_secret: SECRET,
  grant_types: ['client_credentials', 'password', EXCHANGE],
  redirect_uris: [],
  response_types: [],
};

const web = {
  // Only native clients may come back to loopback without TLS.
  application_type: 'native',
  client_secret: SECRET,
  grant_types: ['authorization_code', 'refresh_token'],
  post_logout_redirect_uris: ['http://127.0.0.1/signed-out'],
  redirect_uris: [CALLBACK],
  response_types: ['code'],
  token_endpoint_auth_method: 'client_secret_post',
};

const CIBA = 'urn:openid:params:grant-type:ciba';

// As the FAPI 2.0 profiles want a client to be registered.
const fapi = (key) => ({
  application_type: 'native',
  authorization_signed_response_alg: 'PS256',
  backchannel_authentication_request_signing_alg: 'ES256',
  backchannel_token_delivery_mode: 'poll',
  client_id: 'fapi',
  dpop_bound_access_tokens: true,
  grant_types: ['authorization_code', 'refresh_token', CIBA],
  id_token_signed_response_alg: 'PS256',
  jwks: { keys: [publicPart(key)] },
  redirect_uris: [CALLBACK],
  request_object_signing_alg: 'ES256',
  require_pushed_authorization_requests: true,
  response_types: ['code'],
  token_endpoint_auth_method: 'private_key_jwt',
  token_endpoint_auth_signing_alg: 'ES256',
});

const front = {
  ...web,
  grant_types: ['authorization_code', 'implicit'],
  response_types: ['id_token', 'id_token token', 'code id_token', 'code token', 'code id_token token'],
};

const signed = (algorithm) => ({ ...web, client_id: `web-${algorithm}`, id_token_signed_response_alg: algorithm });

const certified = {
  ...machine,
  client_secret: undefined,
  tls_client_certificate_bound_access_tokens: true,
};

export function makeClients(assertionKey, certificate) {
  return [
    { ...machine, client_id: 'basic', token_endpoint_auth_method: 'client_secret_basic' },
    { ...machine, client_id: 'post', token_endpoint_auth_method: 'client_secret_post' },
    {
      ...machine,
      client_id: 'assertion',
      client_secret: undefined,
      jwks: { keys: [publicPart(assertionKey)] },
      token_endpoint_auth_method: 'private_key_jwt',
    },
    {
      ...certified,
      client_id: 'certified',
      tls_client_auth_san_dns: 'payments.example',
      token_endpoint_auth_method: 'tls_client_auth',
    },
    {
      ...certified,
      client_id: 'self-certified',
      jwks: { keys: [certificate] },
      token_endpoint_auth_method: 'self_signed_tls_client_auth',
    },
    {
      ...machine,
      client_id: 'secret-assertion',
      client_secret: 'a secret of the thirty-two bytes that RFC 7518 wants',
      token_endpoint_auth_method: 'client_secret_jwt',
    },
    fapi(assertionKey),
    // Message Signing: nothing travels that is not signed.
    { ...fapi(assertionKey), client_id: 'fapi-signing', require_signed_request_object: true },
    // This provider wants backchannel requests pushed, too, where pushing is demanded.
    { ...fapi(assertionKey), client_id: 'fapi-ciba', require_pushed_authorization_requests: false },
    { ...web, client_id: 'signed-userinfo', userinfo_signed_response_alg: 'ES256' },
    {
      ...web,
      client_id: 'encrypted',
      id_token_encrypted_response_alg: 'ECDH-ES',
      id_token_encrypted_response_enc: 'A256GCM',
      jwks: { keys: [{ ...publicPart(assertionKey), use: 'enc' }] },
      userinfo_encrypted_response_alg: 'ECDH-ES',
      userinfo_encrypted_response_enc: 'A128CBC-HS256',
      userinfo_signed_response_alg: 'ES256',
    },
    { ...web, client_id: 'web' },
    { ...web, client_id: 'narrow', scope: 'openid' },
    { ...web, client_id: 'public', client_secret: undefined, token_endpoint_auth_method: 'none' },
    { ...front, client_id: 'front' },
    {
      ...web,
      client_id: 'device',
      client_secret: undefined,
      grant_types: [DEVICE, 'refresh_token'],
      redirect_uris: [],
      response_types: [],
      token_endpoint_auth_method: 'none',
    },
    ...['ES256', 'EdDSA', 'HS256', 'PS256'].map(signed),
  ];
}
