// oidc-provider on 127.0.0.1 and a free port, until standard input ends.
import { Console } from 'node:console';
import { createServer } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import Provider from 'oidc-provider';
import { makeConfiguration } from './configuration.js';
import { registerGrants } from './grants/index.js';
import { handleInteraction } from './interactions.js';
import { readCertificates } from './certificates.js';
import { generateAssertionKey, generateKeys, rotateKeys } from './keys.js';

// Standard output carries the announcement and nothing else.
globalThis.console = new Console(process.stderr);

const server = createServer();
const certificates = readCertificates(process.argv[2]);
// Where clients with a certificate go; it is verified, and whose it is the provider compares.
const secureServer = createSecureServer({ ...certificates.tls, rejectUnauthorized: false, requestCert: true });
const assertionKey = generateAssertionKey();
let issuer;
let secureUrl;
let keys = generateKeys();
let provider;
let answer;

function start() {
  // The in-memory adapter outlives a provider: sessions and tokens stay.
  provider = new Provider(issuer, makeConfiguration({ keys, assertionKey, certificates, secureUrl }));
  registerGrants(provider);
  answer = provider.callback();
}

function handle(request, response) {
  if (request.url === '/test/rotate-keys') {
    keys = rotateKeys(keys);
    start();
    response.writeHead(204).end();
  } else if (request.url.startsWith('/interaction/')) {
    handleInteraction(provider, request, response).catch((error) => response.writeHead(400).end(String(error)));
  } else {
    answer(request, response);
  }
}

server.on('request', handle);
secureServer.on('request', handle);

secureServer.listen(0, '127.0.0.1', () => {
  secureUrl = `https://127.0.0.1:${secureServer.address().port}`;
  server.listen(0, '127.0.0.1', () => {
    issuer = `http://127.0.0.1:${server.address().port}`;
    start();
    const facts = { issuer, assertion_key: assertionKey, certificate: certificates.registered, secure_url: secureUrl };
    process.stdout.write(`${JSON.stringify(facts)}\n`);
  });
});
process.stdin.resume().on('end', () => process.exit(0));
