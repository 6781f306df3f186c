// The pages on which a person signs in and consents, or says no.
import { text } from 'node:stream/consumers';
import { isPassword } from './people.js';

const page = (fields) => `<!doctype html><title>Sign in</title><form method="post">${fields}
  <button name="decision" value="yes">Continue</button><button name="decision" value="no">Cancel</button></form>`;

const PAGES = {
  consent: page(''),
  login: page('<input name="login"><input name="password" type="password">'),
};

async function consent(provider, { prompt, params, session, grantId }) {
  const { Grant } = provider;
  const given = { accountId: session.accountId, clientId: params.client_id };
  const grant = grantId ? await Grant.find(grantId) : new Grant(given);
  const { missingOIDCScope, missingOIDCClaims, missingResourceScopes } = prompt.details;
  if (missingOIDCScope) grant.addOIDCScope(missingOIDCScope.join(' '));
  if (missingOIDCClaims) grant.addOIDCClaims(missingOIDCClaims);
  for (const [resource, scopes] of Object.entries(missingResourceScopes ?? {})) {
    grant.addResourceScope(resource, scopes.join(' '));
  }
  return { consent: { grantId: await grant.save() } };
}

function login({ params }, form) {
  // The first of the wanted classes: this provider can do them all.
  const acr = params.acr_values?.split(' ')[0];
  return { login: { accountId: form.get('login'), acr, amr: ['pwd'] } };
}

export async function handleInteraction(provider, request, response) {
  const details = await provider.interactionDetails(request, response);
  const form = new URLSearchParams(await text(request));
  const isLogin = details.prompt.name === 'login';
  const isRight = !isLogin || isPassword(form.get('login'), form.get('password'));
  if (form.get('decision') === 'no') {
    const result = { error: 'access_denied', error_description: 'the person said no' };
    await provider.interactionFinished(request, response, result, { mergeWithLastSubmission: false });
  } else if (form.get('decision') !== 'yes' || !isRight) {
    response.writeHead(200, { 'content-type': 'text/html' }).end(PAGES[details.prompt.name]);
  } else {
    const result = isLogin ? login(details, form) : await consent(provider, details);
    await provider.interactionFinished(request, response, result, { mergeWithLastSubmission: !isLogin });
  }
}
