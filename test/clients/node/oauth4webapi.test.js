import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as oauth from 'oauth4webapi'
import { issuer, password, signIn, subject, username, webAPI, clientSecret } from './signin.js'

// The library's own switch for http, which it refuses otherwise.
const options = { [oauth.allowInsecureRequests]: true }
const spa = { client_id: 'spa' }
const web = { client_id: 'web' }

const discover = async (algorithm) =>
  oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer, { ...options, algorithm }))
const as = await discover('oidc')

test('both metadata documents are accepted and the same', async () => {
  assert.deepEqual(await discover('oauth2'), as)
  assert.equal(as.token_endpoint, new URL('/oauth/token', issuer).href)
})

test('the password grant, with an ID token whose signature is checked too', async () => {
  const response = await oauth.genericTokenEndpointRequest(as, spa, oauth.None(), 'password',
    { username, password, scope: 'openid profile' }, options)
  const result = await oauth.processGenericTokenEndpointResponse(as, spa, response)
  assert.equal(oauth.getValidatedIdTokenClaims(result).sub, subject)
  await oauth.validateApplicationLevelSignature(as, response, options)
})

test('the refresh grant, rotating the token', async () => {
  let { refresh_token } = await signIn()
  for (let i = 0; i < 3; i++) {
    const response = await oauth.refreshTokenGrantRequest(as, spa, oauth.None(), refresh_token, options)
    const result = await oauth.processRefreshTokenResponse(as, spa, response)
    assert.notEqual(result.refresh_token, refresh_token)
    assert.equal(oauth.getValidatedIdTokenClaims(result).sub, subject)
    await oauth.validateApplicationLevelSignature(as, response, options)
    refresh_token = result.refresh_token
  }
})

test('a refused refresh is the error it is', async () => {
  const response = await oauth.refreshTokenGrantRequest(as, spa, oauth.None(), 'cs_rt_nonsense', options)
  await assert.rejects(oauth.processRefreshTokenResponse(as, spa, response), (err) =>
    err instanceof oauth.ResponseBodyError && err.error === 'invalid_grant' && err.status === 400)
})

test('userinfo about the subject, and a challenge for a wrong token', async () => {
  const { access_token } = await signIn()
  const info = await oauth.processUserInfoResponse(as, spa, subject, await oauth.userInfoRequest(as, spa, access_token, options))
  assert.equal(info.preferred_username, username)

  const refused = await oauth.userInfoRequest(as, spa, 'wrong', options)
  await assert.rejects(oauth.processUserInfoResponse(as, spa, subject, refused), (err) => {
    assert.ok(err instanceof oauth.WWWAuthenticateChallengeError, err)
    assert.equal(err.status, 401)
    assert.deepEqual(err.cause.map((c) => [c.scheme, c.parameters.error]), [['bearer', 'invalid_token']])
    return true
  })
})

for (const [name, authenticate] of Object.entries({ basic: oauth.ClientSecretBasic, post: oauth.ClientSecretPost })) {
  test(`client credentials, ${name}`, async () => {
    const response = await oauth.clientCredentialsGrantRequest(as, web, authenticate(clientSecret), { scope: 'read' }, options)
    const result = await oauth.processClientCredentialsResponse(as, web, response)
    const request = new Request(`${webAPI}/things`, { headers: { Authorization: `Bearer ${result.access_token}` } })
    const claims = await oauth.validateJwtAccessToken(as, request, webAPI, options)
    assert.equal(claims.client_id, 'web')
    assert.equal(claims.scope, 'read')
  })

  test(`a wrong client secret, ${name}, is challenged`, async () => {
    const response = await oauth.clientCredentialsGrantRequest(as, web, authenticate('wrong'), {}, options)
    await assert.rejects(oauth.processClientCredentialsResponse(as, web, response), (err) => {
      assert.ok(err instanceof oauth.WWWAuthenticateChallengeError, err)
      assert.equal(err.status, 401)
      assert.equal(err.cause[0].scheme, 'basic')
      return true
    })
  })
}

test('a resource server accepts an access token by RFC 9068, and no ID token', async () => {
  const { access_token, id_token } = await signIn()
  const request = (token) => new Request(`${issuer.origin}/hello`, { headers: { Authorization: `Bearer ${token}` } })
  const claims = await oauth.validateJwtAccessToken(as, request(access_token), as.issuer, options)
  assert.equal(claims.sub, subject)
  await assert.rejects(oauth.validateJwtAccessToken(as, request(id_token), as.issuer, options), /typ/)
})
