import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createRemoteJWKSet, errors, jwtVerify } from 'jose'
import { issuer, signIn, subject } from './signin.js'

const metadata = await (await fetch(new URL('/.well-known/openid-configuration', issuer))).json()
const keys = createRemoteJWKSet(new URL(metadata.jwks_uri))
const access = { issuer: metadata.issuer, audience: metadata.issuer, typ: 'at+jwt', algorithms: ['ES256', 'RS256'] }

test('a new access token verifies, with every claim that RFC 9068 asks for', async () => {
  const { payload, protectedHeader } = await jwtVerify((await signIn()).access_token, keys, {
    ...access, requiredClaims: ['iss', 'exp', 'aud', 'sub', 'client_id', 'iat', 'jti'], maxTokenAge: '1 minute',
  })
  assert.equal(payload.sub, subject)
  assert.equal(payload.client_id, 'spa')
  assert.equal(protectedHeader.alg, 'ES256')
})

test('an ID token verifies as one, and not as an access token', async () => {
  const { id_token } = await signIn()
  const { payload } = await jwtVerify(id_token, keys, { issuer: metadata.issuer, audience: 'spa', algorithms: ['RS256'] })
  assert.equal(payload.sub, subject)
  await assert.rejects(jwtVerify(id_token, keys, access), errors.JWTClaimValidationFailed)
  await assert.rejects(jwtVerify(id_token, keys, { ...access, audience: 'spa' }), { claim: 'typ' })
})

test('a changed token does not verify', async () => {
  const { access_token } = await signIn()
  const [header, payload, signature] = access_token.split('.')
  const claims = { ...JSON.parse(Buffer.from(payload, 'base64url')), sub: 'another-user' }
  const forged = [header, Buffer.from(JSON.stringify(claims)).toString('base64url'), signature].join('.')
  await assert.rejects(jwtVerify(forged, keys, access), errors.JWSSignatureVerificationFailed)
})
