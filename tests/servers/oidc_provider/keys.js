// Signing keys as JSON Web Keys, private parts included.
import { generateKeyPairSync, randomUUID } from 'node:crypto';

function generate(...args) {
  const { privateKey } = generateKeyPairSync(...args);
  return { ...privateKey.export({ format: 'jwk' }), kid: randomUUID(), use: 'sig' };
}

// Clients encrypt their requests to it.
const encryptionKey = { ...generate('rsa', { modulusLength: 2048 }), use: 'enc' };

export const generateAssertionKey = () => generate('ec', { namedCurve: 'P-256' });

export const generateKeys = () => [
  generate('rsa', { modulusLength: 2048 }),
  generate('ec', { namedCurve: 'P-256' }),
  generate('ed25519'),
  encryptionKey,
];

// The new keys sign; the old ones stay for what they have signed.
export const rotateKeys = (keys) => [...generateKeys(), ...keys.filter((key) => key !== encryptionKey)];

export function publicPart({ d, p, q, dp, dq, qi, ...rest }) {
  return rest;
}
