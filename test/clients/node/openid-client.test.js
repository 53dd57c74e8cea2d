import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as client from 'openid-client'
import { issuer, password, subject, username, clientSecret } from './signin.js'

// The library's own switches: http is refused without the first, and ID tokens'
// signatures aren't looked at without the second.
const execute = [client.allowInsecureRequests, client.enableNonRepudiationChecks]

const discover = (id, authentication) => client.discovery(issuer, id, undefined, authentication, { execute })

test('discovery, password grant, userinfo, refresh', async () => {
  const config = await discover('spa', client.None())
  const first = await client.genericGrantRequest(config, 'password', { username, password, scope: 'openid profile offline_access' })
  assert.equal(first.claims().sub, subject)
  assert.ok(first.expiresIn() > 0)

  const info = await client.fetchUserInfo(config, first.access_token, subject)
  assert.equal(info.preferred_username, username)

  const second = await client.refreshTokenGrant(config, first.refresh_token)
  assert.notEqual(second.refresh_token, first.refresh_token)
  assert.equal(second.claims().sub, subject)
  assert.equal(second.claims().auth_time, first.claims().auth_time)
})

test('a confidential client refreshes and acts for itself', async () => {
  for (const authentication of [client.ClientSecretBasic(clientSecret), client.ClientSecretPost(clientSecret)]) {
    const config = await discover('web', authentication)
    const first = await client.genericGrantRequest(config, 'password', { username, password, scope: 'openid offline_access' })
    const second = await client.refreshTokenGrant(config, first.refresh_token)
    assert.equal(second.claims().sub, subject)

    const own = await client.clientCredentialsGrant(config, { scope: 'read' })
    assert.equal(own.refresh_token, undefined)
  }
})

test('a wrong refresh token is refused with invalid_grant', async () => {
  const config = await discover('spa', client.None())
  await assert.rejects(client.refreshTokenGrant(config, 'cs_rt_nonsense'), { error: 'invalid_grant', status: 400 })
})
