// An API that accepts Countersign's access tokens. It verifies them by itself and only
// fetches the public keys: it doesn't call the authorization server for each request.
//
//   COUNTERSIGN_TOKENS_AUDIENCE=http://localhost:8082 go run ./cmd/countersign serve --dev   # in one terminal
//   cd examples/resource-server-node && npm ci && npm start                                 # in another
//   curl -H "Authorization: Bearer $TOKEN" http://localhost:8082/hello

import { createServer } from 'node:http'
import { createRemoteJWKSet, errors, jwtVerify } from 'jose'

const issuer = process.env.ISSUER || 'http://localhost:8080'
const audience = process.env.AUDIENCE || 'http://localhost:8082' // the name of this API, which tokens.audience or the client's audiences must have
const scopes = (process.env.SCOPE || 'profile read').split(' ') // any of them opens /hello
const jwksURL = process.env.JWKS_URL || `${issuer}/.well-known/jwks.json`
const origins = (process.env.ORIGINS || issuer).split(',') // of pages that may call the API; serve --dev has a demo app
const cookie = process.env.ACCESS_COOKIE // its name, if Countersign sets one with the access token (docs/spa.md)
const listen = new URL(`http://${process.env.LISTEN || '127.0.0.1:8082'}`)

if (audience === issuer) {
  console.error("AUDIENCE must be this API's own name: tokens for the issuer are for the authorization server")
  process.exit(1)
}

// jose fetches the keys when first needed, again after ten minutes, and sooner for an
// unknown key, but at most every 30 seconds, so that attackers who make up key ids can't
// make it fetch more often. These are jose's defaults. They fit Countersign, which
// publishes a key for longer than its JWKS may be cached before it signs with it.
const keys = createRemoteJWKSet(new URL(jwksURL))

// Every rule is needed: by default jose accepts any algorithm, type, issuer and audience,
// and tokens that never expire. ID tokens are signed with the same keys and must not open
// an API: hence typ (RFC 9068 section 4).
const rules = {
  algorithms: ['ES256', 'RS256'],
  typ: 'at+jwt',
  issuer,
  audience,
  requiredClaims: ['exp', 'sub'],
}

const server = createServer(async (req, res) => {
  // Pages of these origins may call the API with an access token (CORS), and with cookies
  // only if the API reads one.
  res.setHeader('Vary', 'Origin')
  if (origins.includes(req.headers.origin)) {
    res.setHeader('Access-Control-Allow-Origin', req.headers.origin)
    res.setHeader('Access-Control-Expose-Headers', 'WWW-Authenticate')
    if (cookie) res.setHeader('Access-Control-Allow-Credentials', 'true')
    if (req.method === 'OPTIONS') { // a preflight, which carries no token
      res.writeHead(204, { 'Access-Control-Allow-Headers': 'Authorization', 'Access-Control-Max-Age': '600' })
      return res.end()
    }
  }
  if (req.method !== 'GET' || req.url !== '/hello') {
    return answer(res, 404, { error: 'not found' })
  }
  // An API that takes cookies and changes something must refuse other origins' pages
  // here: browsers send cookies for requests of any page.

  // RFC 6750 section 3 says how to refuse.
  const token = accessToken(req.headers)
  if (token === undefined) {
    return answer(res, 401, { error: 'send an access token' }, 'Bearer')
  }
  try {
    const { payload } = await jwtVerify(token, keys, rules)
    const has = String(payload.scope ?? '').split(' ')
    if (!scopes.some((one) => has.includes(one))) {
      return answer(res, 403, { error: 'the access token lacks a scope' }, `Bearer error="insufficient_scope", scope="${scopes[0]}"`)
    }
    answer(res, 200, { subject: payload.sub, scope: payload.scope ?? '' })
  } catch (err) {
    console.error(`refused a token: ${err.message}`) // for us; a thief learns nothing
    if (!(err instanceof errors.JOSEError)) { // the keys can't be fetched, which is not the caller's fault
      return answer(res, 503, { error: 'try again shortly' })
    }
    answer(res, 401, { error: 'the access token is not valid' }, 'Bearer error="invalid_token"')
  }
})

// Returns the token of a request: from its header, or else from the cookie.
function accessToken({ authorization = '', cookie: cookies = '' }) {
  const [, token] = /^Bearer\b *(.*)$/i.exec(authorization) ?? []
  if (token !== undefined || !cookie) return token
  const found = cookies.split('; ').filter((one) => one.startsWith(`${cookie}=`))
  if (found.length === 1) return found[0].slice(cookie.length + 1) // of several, another host of the domain has planted one
}

function answer(res, status, body, challenge) {
  if (challenge) res.setHeader('WWW-Authenticate', challenge)
  res.writeHead(status, { 'Content-Type': 'application/json' })
  res.end(JSON.stringify(body) + '\n')
}

server.listen(Number(listen.port), listen.hostname, () => {
  const { address, port } = server.address()
  console.error(`listening on http://${address}:${port}`)
})
