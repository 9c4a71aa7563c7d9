// oauth4webapi, which judges every answer strictly, against the gateway: its URL, then id and secret of a client that acts as
// itself, id of a public client, a password.
import { webcrypto } from 'node:crypto'
globalThis.crypto ??= webcrypto
const oauth = await import('oauth4webapi')
const assert = (await import('node:assert')).strict

const [url, batch, secret, spa, password] = process.argv.slice(2)
// The gateway says that it is at another host, as behind a load balancer: what asks for that host is sent to it here.
const issuer = new URL('http://gateway.test')
const here = (target, init = {}) =>
  fetch(String(target).replace('http://gateway.test', url), { ...init, headers: { ...Object.fromEntries(new Headers(init.headers)) } })
const as = {
  issuer: issuer.origin,
  token_endpoint: `${issuer.origin}/auth/token`,
  revocation_endpoint: `${issuer.origin}/auth/revoke`,
  introspection_endpoint: `${issuer.origin}/auth/introspect`,
}
const options = { [oauth.customFetch]: here, [oauth.allowInsecureRequests]: true }


for (const token_endpoint_auth_method of ['client_secret_basic', 'client_secret_post']) {
  const client = { client_id: batch, client_secret: secret, token_endpoint_auth_method }
  const granted = await oauth.clientCredentialsGrantRequest(as, client, new URLSearchParams({ scope: 'orders:read' }), options)
  const result = await oauth.processClientCredentialsResponse(as, client, granted)
  assert.ok(!oauth.isOAuth2Error(result), JSON.stringify(result))
  assert.equal(result.token_type, 'bearer')
  const asked = await oauth.introspectionRequest(as, client, result.access_token, options)
  const told = await oauth.processIntrospectionResponse(as, client, asked)
  assert.equal(told.active, true)
  assert.equal(told.client_id, batch)
  const revoked = await oauth.revocationRequest(as, client, result.access_token, options)
  assert.equal(await oauth.processRevocationResponse(revoked), undefined)
  const again = await oauth.processIntrospectionResponse(as, client, await oauth.introspectionRequest(as, client, result.access_token, options))
  assert.deepEqual(again, { active: false })
}

const wrong = { client_id: batch, client_secret: 'wrong', token_endpoint_auth_method: 'client_secret_basic' }
const refused = await oauth.clientCredentialsGrantRequest(as, wrong, new URLSearchParams(), options)
assert.equal(refused.status, 401)
assert.equal(oauth.parseWwwAuthenticateChallenges(refused)?.[0]?.scheme, 'basic')
assert.equal((await refused.json()).error, 'invalid_client')

const open = { client_id: spa, token_endpoint_auth_method: 'none' }
const form = new URLSearchParams({ grant_type: 'password', username: 'alice', password, client_id: spa })
const first = await (await here(as.token_endpoint, { method: 'POST', body: form })).json()
const refreshed = await oauth.refreshTokenGrantRequest(as, open, first.refresh_token, options)
const result = await oauth.processRefreshTokenResponse(as, open, refreshed)
assert.ok(!oauth.isOAuth2Error(result), JSON.stringify(result))
assert.notEqual(result.refresh_token, first.refresh_token)
console.log('oauth4webapi is served')
