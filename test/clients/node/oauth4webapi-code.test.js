import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as oauth from 'oauth4webapi'
import { Person } from './person.js'
import { algorithms, callback, clientSecret, filesAPI, issuer, signedOut, subject, username, webAPI } from './signin.js'

// The library's own switch for http, which it refuses otherwise.
const options = { [oauth.allowInsecureRequests]: true }
const as = await oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer, options))

// An application is a client with its own way to authenticate, with PKCE or without.
const application = (client_id, authentication, pkce = true) => ({ client: { client_id }, authentication, pkce })
const spa = application('spa', oauth.None())
const partner = application('partner', oauth.ClientSecretBasic(clientSecret))

// ask returns an authorization request, and the values that the application checks in the
// response.
async function ask(app, more = {}) {
  const checks = { state: oauth.generateRandomState(), nonce: oauth.generateRandomNonce(), verifier: oauth.nopkce }
  const url = new URL(as.authorization_endpoint)
  const parameters = {
    client_id: app.client.client_id, redirect_uri: callback, response_type: 'code',
    scope: 'openid profile offline_access', state: checks.state, nonce: checks.nonce, ...more,
  }
  if (app.pkce) {
    checks.verifier = oauth.generateRandomCodeVerifier()
    parameters.code_challenge = await oauth.calculatePKCECodeChallenge(checks.verifier)
    parameters.code_challenge_method = 'S256'
  }
  for (const [name, value] of Object.entries(parameters)) {
    for (const one of [value].flat()) url.searchParams.append(name, one)
  }
  return { url, checks }
}

// answer reads the authorization response from the request to the application.
async function answer(app, request, checks) {
  const values = request.method === 'POST' ? new URLSearchParams(await request.text()) : new URL(request.url).searchParams
  return oauth.validateAuthResponse(as, app.client, values, checks.state)
}

// exchange gets the tokens of a response, and checks the ID token and its signature.
async function exchange(app, values, checks, more = {}) {
  const response = await oauth.authorizationCodeGrantRequest(
    as, app.client, app.authentication, values, callback, checks.verifier, { ...options, additionalParameters: more })
  const tokens = await oauth.processAuthorizationCodeResponse(as, app.client, response, {
    expectedNonce: checks.nonce, maxAge: checks.maxAge, requireIdToken: checks.nonce !== undefined,
  })
  if (tokens.id_token !== undefined) await oauth.validateApplicationLevelSignature(as, response, options)
  return tokens
}

// signIn signs a user in at an application.
async function signIn(app, person, more) {
  const { url, checks } = await ask(app, more)
  return exchange(app, await answer(app, await person.visit(url), checks), checks)
}

async function refresh(app, token, more = {}) {
  const response = await oauth.refreshTokenGrantRequest(
    as, app.client, app.authentication, token, { ...options, additionalParameters: more })
  const tokens = await oauth.processRefreshTokenResponse(as, app.client, response)
  if (tokens.id_token !== undefined) await oauth.validateApplicationLevelSignature(as, response, options)
  return tokens
}

const payload = (jwt) => JSON.parse(Buffer.from(jwt.split('.')[1], 'base64url'))

for (const [name, app] of Object.entries({
  'a public client': spa,
  'a confidential client, Basic': partner,
  'a confidential client, post': application('partner', oauth.ClientSecretPost(clientSecret)),
  'a confidential client without PKCE': application('legacy', oauth.ClientSecretBasic(clientSecret), false),
})) {
  test(`code, userinfo, refresh: ${name}`, async () => {
    const person = new Person()
    const first = await signIn(app, person)
    const claims = oauth.getValidatedIdTokenClaims(first)
    assert.equal(claims.sub, subject)

    const info = await oauth.userInfoRequest(as, app.client, first.access_token, options)
    assert.equal((await oauth.processUserInfoResponse(as, app.client, subject, info)).preferred_username, username)

    const second = await refresh(app, first.refresh_token)
    assert.notEqual(second.refresh_token, first.refresh_token)
    assert.equal(oauth.getValidatedIdTokenClaims(second).auth_time, claims.auth_time)

    const silent = oauth.getValidatedIdTokenClaims(await signIn(app, person, { prompt: 'none' }))
    assert.deepEqual([silent.sub, silent.auth_time], [subject, claims.auth_time])
  })
}

test('an answer by form_post', async () => {
  const { url, checks } = await ask(spa, { response_mode: 'form_post' })
  const request = await new Person().visit(url)
  assert.equal(request.method, 'POST')
  const tokens = await exchange(spa, await answer(spa, request, checks), checks)
  assert.equal(oauth.getValidatedIdTokenClaims(tokens).sub, subject)
})

test('a sign-in as new as the client wants, by auth_time', async () => {
  const { url, checks } = await ask(spa, { max_age: '60' })
  const tokens = await exchange(spa, await answer(spa, await new Person().visit(url), checks), { ...checks, maxAge: 60 })
  assert.equal(oauth.getValidatedIdTokenClaims(tokens).sub, subject)
})

test('refusals are the errors they are, in the query and by form_post', async () => {
  for (const response_mode of ['query', 'form_post']) {
    await assert.rejects(signIn(spa, new Person(), { prompt: 'none', response_mode }), (err) =>
      err instanceof oauth.AuthorizationResponseError && err.error === 'login_required' && err.error_description !== '')
    const { url, checks } = await ask(partner, { response_mode, prompt: 'consent' })
    const denied = await new Person().visit(url, 'deny')
    await assert.rejects(answer(partner, denied, checks), { error: 'access_denied' })
  }
})

test('a code a second time', async () => {
  const { url, checks } = await ask(spa)
  const values = await answer(spa, await new Person().visit(url), checks)
  const { refresh_token } = await exchange(spa, values, checks)
  await assert.rejects(exchange(spa, values, checks), (err) =>
    err instanceof oauth.ResponseBodyError && err.error === 'invalid_grant' && err.status === 400)
  await assert.rejects(refresh(spa, refresh_token), { error: 'invalid_grant' })
})

test('revocation', async () => {
  for (const app of [spa, partner]) {
    for (const kind of ['refresh_token', 'access_token']) {
      const tokens = await signIn(app, new Person())
      for (let times = 0; times < 2; times++) {
        const response = await oauth.revocationRequest(
          as, app.client, app.authentication, tokens[kind], { ...options, additionalParameters: { token_type_hint: kind } })
        await oauth.processRevocationResponse(response)
      }
      await assert.rejects(refresh(app, tokens.refresh_token), { error: 'invalid_grant' })
    }
  }
})

test('a wrong secret at revocation and introspection', async () => {
  const wrong = oauth.ClientSecretBasic('wrong')
  for (const response of [
    await oauth.revocationRequest(as, partner.client, wrong, 'token', options),
    await oauth.introspectionRequest(as, partner.client, wrong, 'token', options),
  ]) {
    await assert.rejects(oauth.processRevocationResponse(response), (err) =>
      err instanceof oauth.WWWAuthenticateChallengeError && err.status === 401 && err.cause[0].scheme === 'basic')
  }
})

test('introspection', async () => {
  const tokens = await signIn(partner, new Person(), { scope: 'openid read' })
  const introspect = async (token) => {
    const response = await oauth.introspectionRequest(as, partner.client, partner.authentication, token, options)
    return oauth.processIntrospectionResponse(as, partner.client, response)
  }
  const told = await introspect(tokens.access_token)
  const { active, sub, username: name, client_id, scope, iss } = told
  assert.deepEqual({ active, sub, name, client_id, scope, iss },
    { active: true, sub: subject, name: username, client_id: 'partner', scope: 'openid read', iss: as.issuer })
  assert.deepEqual(told.aud, payload(tokens.access_token).aud)
  assert.deepEqual({ ...(await introspect('nonsense')) }, { active: false })
})

test('signing out at the server', async () => {
  const person = new Person()
  const { id_token } = await signIn(partner, person)
  const end = new URL(as.end_session_endpoint)
  end.search = new URLSearchParams({ id_token_hint: id_token, post_logout_redirect_uri: signedOut, state: 'the state' })
  assert.equal((await person.visit(end)).url, `${signedOut}?state=the%20state`)
  await assert.rejects(signIn(partner, person, { prompt: 'none' }), { error: 'login_required' })
})

test('tokens for one of several APIs, by RFC 9068', async () => {
  const { url, checks } = await ask(partner, { scope: 'offline_access read', resource: [webAPI, filesAPI] })
  delete checks.nonce // no openid, no ID token
  const values = await answer(partner, await new Person().visit(url), checks)
  const web = await exchange(partner, values, checks, { resource: webAPI })
  const files = await refresh(partner, web.refresh_token, { resource: filesAPI })
  for (const [tokens, api] of [[web, webAPI], [files, filesAPI]]) {
    const request = new Request(`${api}/things`, { headers: { Authorization: `Bearer ${tokens.access_token}` } })
    const claims = await oauth.validateJwtAccessToken(as, request, api, options)
    assert.deepEqual([claims.aud, claims.sub, claims.scope], [api, subject, 'offline_access read'])
  }
})

for (const alg of algorithms) {
  test(`ID tokens by ${alg}`, async () => {
    const app = application(alg, oauth.ClientSecretBasic(clientSecret))
    app.client.id_token_signed_response_alg = alg // and no other
    const tokens = await signIn(app, new Person(), { scope: 'openid' })
    assert.equal(oauth.getValidatedIdTokenClaims(tokens).sub, subject)
  })
}
