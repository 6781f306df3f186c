// Certificates of a throw-away authority, which the tests have written into a folder.
import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

export function readCertificates(folder) {
  const read = (name) => readFileSync(join(folder, name));
  const own = new X509Certificate(read('own.example.crt'));
  return {
    // The certificate that a client has registered itself, as a JSON Web Key.
    registered: { ...own.publicKey.export({ format: 'jwk' }), use: 'sig', x5c: [own.raw.toString('base64')] },
    tls: { ca: read('ca.pem'), cert: read('server.crt'), key: read('server.key') },
  };
}

export const getCertificate = (ctx) => ctx.socket.getPeerX509Certificate?.();

export const certificateAuthorized = (ctx) => ctx.socket.authorized === true;

export function certificateSubjectMatches(ctx, property, expected) {
  return property === 'tls_client_auth_san_dns' && getCertificate(ctx).checkHost(expected) === expected;
}
