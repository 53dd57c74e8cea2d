import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as client from 'openid-client'
import { Person } from './person.js'
import { algorithms, callback, clientSecret, filesAPI, issuer, signedOut, subject, username, webAPI } from './signin.js'

// The library's own switches: see openid-client.test.js.
const execute = [client.allowInsecureRequests, client.enableNonRepudiationChecks]

const discover = (id, authentication) => client.discovery(issuer, id, undefined, authentication, { execute })
const basic = client.ClientSecretBasic(clientSecret)

// request returns an authorization request, and the values that the application checks in
// the response. A client without PKCE leaves out the challenge.
async function request(config, { pkce = true, ...more } = {}) {
  const state = client.randomState()
  const nonce = client.randomNonce()
  const checks = { expectedState: state, expectedNonce: nonce }
  const parameters = new URLSearchParams({ redirect_uri: callback, scope: 'openid profile email offline_access', state, nonce })
  if (pkce) {
    checks.pkceCodeVerifier = client.randomPKCECodeVerifier()
    parameters.set('code_challenge', await client.calculatePKCECodeChallenge(checks.pkceCodeVerifier))
    parameters.set('code_challenge_method', 'S256')
  }
  for (const [name, value] of Object.entries(more)) {
    parameters.delete(name)
    for (const one of [value].flat()) parameters.append(name, one)
  }
  if (more.max_age !== undefined) checks.maxAge = Number(more.max_age)
  return { url: client.buildAuthorizationUrl(config, parameters), checks }
}

// signIn signs a user in at an application.
async function signIn(config, person, more) {
  const { url, checks } = await request(config, more)
  return client.authorizationCodeGrant(config, await person.visit(url), checks)
}

for (const [name, id, authentication, more] of [
  ['a public client', 'spa', client.None()],
  ['a confidential client, Basic', 'partner', basic],
  ['a confidential client, post', 'partner', client.ClientSecretPost(clientSecret)],
  ['a confidential client without PKCE', 'legacy', basic, { pkce: false }],
  ['a confidential client with PKCE that needs none', 'legacy', basic],
]) {
  test(`code, userinfo, refresh: ${name}`, async () => {
    const config = await discover(id, authentication)
    const person = new Person()
    const first = await signIn(config, person, more)
    assert.equal(first.claims().sub, subject)

    const info = await client.fetchUserInfo(config, first.access_token, subject)
    assert.equal(info.preferred_username, username)
    assert.equal(info.email, 'alice@example.net')

    const second = await client.refreshTokenGrant(config, first.refresh_token)
    assert.notEqual(second.refresh_token, first.refresh_token)
    assert.equal(second.claims().sub, subject)
    assert.equal(second.claims().auth_time, first.claims().auth_time)

    const silent = await signIn(config, person, { ...more, prompt: 'none', id_token_hint: first.id_token, max_age: '10000' })
    assert.equal(silent.claims().sub, subject)
    assert.equal(silent.claims().auth_time, first.claims().auth_time)
  })
}

test('an answer by form_post', async () => {
  const config = await discover('spa', client.None())
  const { url, checks } = await request(config, { response_mode: 'form_post' })
  const answer = await new Person().visit(url)
  assert.equal(answer.method, 'POST')
  const tokens = await client.authorizationCodeGrant(config, answer, checks)
  assert.equal(tokens.claims().sub, subject)
})

test('refusals are the errors they are, in the query and by form_post', async () => {
  const spa = await discover('spa', client.None())
  const partner = await discover('partner', basic)
  const person = new Person()
  for (const response_mode of ['query', 'form_post']) {
    await assert.rejects(signIn(spa, new Person(), { prompt: 'none', response_mode }), (err) =>
      err instanceof client.AuthorizationResponseError && err.error === 'login_required')
    await assert.rejects(signIn(spa, person, { response_mode, request: 'a.b.c' }), { error: 'request_not_supported' })
    await assert.rejects(signIn(spa, person, { response_mode, scope: 'openid unknown' }), { error: 'invalid_scope' })

    const { url, checks } = await request(partner, { response_mode, prompt: 'consent' })
    await assert.rejects(client.authorizationCodeGrant(partner, await person.visit(url, 'deny'), checks), { error: 'access_denied' })
  }
})

test('the library notices what an attacker changes in the response', async () => {
  const config = await discover('spa', client.None())
  const person = new Person()
  for (const [message, change] of [
    [/"iss"/, (answer) => answer.searchParams.set('iss', 'https://evil.example')],
    [/"iss"/, (answer) => answer.searchParams.delete('iss')], // required, because the metadata promises it
    [/"state"/, (answer) => answer.searchParams.set('state', 'another')],
    [/"nonce"/, (answer, checks) => (checks.expectedNonce = 'another')],
  ]) {
    const { url, checks } = await request(config)
    const answer = new URL((await person.visit(url)).url)
    change(answer, checks)
    await assert.rejects(client.authorizationCodeGrant(config, answer, checks), (err) => message.test(err.cause?.message ?? err.message))
  }
})

test('a code with another verifier, and a second time', async () => {
  const config = await discover('spa', client.None())
  const { url, checks } = await request(config)
  const answer = await new Person().visit(url)
  const exchange = (more) => client.authorizationCodeGrant(config, new URL(answer.url), { ...checks, ...more })
  await assert.rejects(exchange({ pkceCodeVerifier: client.randomPKCECodeVerifier() }), { error: 'invalid_grant' })
  const { refresh_token } = await exchange()
  await assert.rejects(exchange(), { error: 'invalid_grant', status: 400 })
  await assert.rejects(client.refreshTokenGrant(config, refresh_token), { error: 'invalid_grant' })
})

test('revocation and introspection', async () => {
  const spa = await discover('spa', client.None())
  const partner = await discover('partner', basic)
  for (const config of [spa, partner]) {
    const { access_token, refresh_token } = await signIn(config, new Person())
    if (config === partner) {
      const told = await client.tokenIntrospection(config, access_token)
      assert.equal(told.active, true)
      assert.equal(told.sub, subject)
      assert.equal(told.client_id, 'partner')
      assert.equal((await client.tokenIntrospection(config, refresh_token, { token_type_hint: 'refresh_token' })).active, true)
    }
    await client.tokenRevocation(config, refresh_token, { token_type_hint: 'refresh_token' })
    await client.tokenRevocation(config, refresh_token)
    await assert.rejects(client.refreshTokenGrant(config, refresh_token), { error: 'invalid_grant' })
    if (config === partner) assert.deepEqual({ ...(await client.tokenIntrospection(config, access_token)) }, { active: false })
  }
  // Only clients that may introspect get an answer.
  await assert.rejects(client.tokenIntrospection(spa, 'nonsense'), { status: 401 })
})

test('signing out at the server', async () => {
  const config = await discover('partner', basic)
  for (const hinted of [true, false]) {
    const person = new Person()
    const { id_token, refresh_token } = await signIn(config, person, { scope: 'openid' })
    const end = client.buildEndSessionUrl(config, {
      post_logout_redirect_uri: signedOut, state: 'the state', ...(hinted && { id_token_hint: id_token }),
    })
    assert.equal((await person.visit(end)).url, `${signedOut}?state=the%20state`)
    await assert.rejects(signIn(config, person, { prompt: 'none' }), { error: 'login_required' })
    await assert.rejects(client.refreshTokenGrant(config, refresh_token), { error: 'invalid_grant' })
  }
})

test('tokens for one of several APIs', async () => {
  const config = await discover('partner', basic)
  const person = new Person()
  const audience = (tokens) => JSON.parse(Buffer.from(tokens.access_token.split('.')[1], 'base64url')).aud
  const scope = 'offline_access read'

  const one = await client.authorizationCodeGrant(config, ...(await answered({ resource: webAPI })))
  assert.equal(audience(one), webAPI)

  const [answer, checks] = await answered({ resource: [webAPI, filesAPI] })
  const files = await client.authorizationCodeGrant(config, answer, checks, { resource: filesAPI })
  assert.equal(audience(files), filesAPI)
  assert.equal(audience(await client.refreshTokenGrant(config, files.refresh_token, { resource: webAPI })), webAPI)

  await assert.rejects(signIn(config, person, { resource: 'https://other.example.com' }), { error: 'invalid_target' })
  await assert.rejects(client.refreshTokenGrant(config, one.refresh_token, { resource: filesAPI }), { error: 'invalid_target' })

  // No openid: no ID token, so no nonce to check.
  async function answered(more) {
    const { url, checks } = await request(config, { ...more, scope })
    return [await person.visit(url), { ...checks, expectedNonce: undefined }]
  }
})

test('client credentials, for one of several APIs', async () => {
  const config = await discover('partner', basic)
  const { access_token } = await client.clientCredentialsGrant(config, { scope: 'read', resource: filesAPI })
  const told = await client.tokenIntrospection(config, access_token)
  assert.deepEqual([told.active, told.sub, told.aud, told.scope], [true, 'partner', filesAPI, 'read'])
})

for (const alg of algorithms) {
  test(`ID tokens by ${alg}`, async () => {
    const config = await discover(alg, basic)
    const tokens = await signIn(config, new Person(), { scope: 'openid' }) // the signature is checked: see execute
    assert.equal(tokens.claims().sub, subject)
    assert.equal(JSON.parse(Buffer.from(tokens.id_token.split('.')[0], 'base64url')).alg, alg)
  })
}
