// oidc-provider on 127.0.0.1 and a free port, until standard input ends.
import { Console } from 'node:console';
import { createServer } from 'node:http';
import Provider from 'oidc-provider';
import { makeConfiguration } from './configuration.js';
import { registerGrants } from './grants/index.js';
import { handleInteraction } from './interactions.js';
import { generateAssertionKey, generateKeys, rotateKeys } from './keys.js';

// Standard output carries the announcement and nothing else.
globalThis.console = new Console(process.stderr);

const server = createServer();
const assertionKey = generateAssertionKey();
let issuer;
let keys = generateKeys();
let provider;
let answer;

function start() {
  // The in-memory adapter outlives a provider: sessions and tokens stay.
  provider = new Provider(issuer, makeConfiguration({ keys, assertionKey }));
  registerGrants(provider);
  answer = provider.callback();
}

server.on('request', (request, response) => {
  if (request.url === '/test/rotate-keys') {
    keys = rotateKeys(keys);
    start();
    response.writeHead(204).end();
  } else if (request.url.startsWith('/interaction/')) {
    handleInteraction(provider, request, response).catch((error) => response.writeHead(400).end(String(error)));
  } else {
    answer(request, response);
  }
});

server.listen(0, '127.0.0.1', () => {
  issuer = `http://127.0.0.1:${server.address().port}`;
  start();
  process.stdout.write(`${JSON.stringify({ issuer, assertion_key: assertionKey })}\n`);
});
process.stdin.resume().on('end', () => process.exit(0));
