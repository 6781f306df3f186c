// Who can sign in; the password is everybody's own name, reversed.
const NAMES = new Set(['alice', 'bob']);

export function isPassword(name, password) {
  return NAMES.has(name) && password === [...name].reverse().join('');
}

export function findAccount(ctx, accountId) {
  if (!NAMES.has(accountId)) return undefined;
  return {
    accountId,
    claims: () => ({ email: `${accountId}@example.com`, email_verified: true, sub: accountId }),
  };
}
