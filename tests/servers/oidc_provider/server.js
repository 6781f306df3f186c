// A real authorization server that others wrote, for the tests: oidc-provider on 127.0.0.1 and a free port.
import { createServer } from 'node:http';
import Provider from 'oidc-provider';

const server = createServer();
server.listen(0, '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const machine = {
    grant_types: ['client_credentials'],
    redirect_uris: [],
    response_types: [],
    scope: 'bankservice api',
  };
  const provider = new Provider(issuer, {
    clients: [
      { client_id: 'basic', client_secret: 's3cr3tV@lue!+%', token_endpoint_auth_method: 'client_secret_basic', ...machine },
      { client_id: 'post', client_secret: 's3cr3tV@lue!+%', token_endpoint_auth_method: 'client_secret_post', ...machine },
    ],
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
    },
    scopes: ['bankservice', 'api'],
    ttl: { ClientCredentials: 600 },
  });
  server.on('request', provider.callback());
  process.stdout.write(`${JSON.stringify({ issuer })}\n`);
});
// The tests hold our standard input: when they end, so do we.
process.stdin.resume().on('end', () => process.exit(0));
