import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Auth } from '@auth/core'
import NextAuth from 'next-auth'
import { Person } from './person.js'
import { clientSecret, issuer, username } from './signin.js'

// An application is a function from requests to responses; this is a browser with its cookies.
function browser(application) {
  const cookies = new Map()
  return async (address, body) => {
    const headers = { Cookie: [...cookies].map(([name, value]) => `${name}=${value}`).join('; ') }
    const response = await application(new Request(address, { method: body ? 'POST' : 'GET', body, headers }))
    for (const line of response.headers.getSetCookie()) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(line)
      cookies.set(name, value)
    }
    return response
  }
}

// signIn signs the user in, and returns the user of the session that the application then has.
async function signIn(application, base) {
  const visit = browser(application)
  const { csrfToken } = await (await visit(`${base}/csrf`)).json()
  const ask = await visit(`${base}/signin/countersign`, new URLSearchParams({ csrfToken }))
  const answer = await new Person().visit(ask.headers.get('location'))
  await visit(answer.url)
  return (await (await visit(`${base}/session`)).json()).user
}

test('Auth.js', async () => {
  const config = {
    basePath: '/auth', trustHost: true, secret: 'a secret of this test',
    providers: [{
      id: 'countersign', name: 'Countersign', type: 'oidc', issuer: issuer.origin, clientId: 'authjs', clientSecret,
    }],
  }
  const user = await signIn((request) => Auth(request, config), 'http://127.0.0.1:3000/auth')
  assert.deepEqual([user?.name, user?.email], [username, 'alice@example.net'])
})

// nextRoute is what next-auth needs of Next.js: an API route at /api/auth/[...nextauth].
const nextRoute = (handler) => async (request) => {
  const url = new URL(request.url)
  const headers = Object.fromEntries(request.headers)
  const cookies = Object.fromEntries(headers.cookie.split('; ').filter(Boolean).map((pair) => pair.split(/=(.*)/s).map(decodeURIComponent)))
  const query = { ...Object.fromEntries(url.searchParams), nextauth: url.pathname.split('/').slice(3) }
  const body = Object.fromEntries(new URLSearchParams(await request.text()))
  let status, content
  const answered = new Map()
  const response = {
    status: (code) => ((status = code), response),
    getHeader: (name) => answered.get(name),
    setHeader: (name, value) => (answered.set(name, value), response),
    send: (text) => (content = text),
    json: (value) => (content = JSON.stringify(value)),
    end: () => {},
  }
  await handler({ method: request.method, headers, cookies, query, body }, response)
  const pairs = [...answered].flatMap(([name, value]) => [value].flat().map((one) => [name, one]))
  return new Response(typeof content === 'object' ? JSON.stringify(content) : content, { status, headers: pairs })
}

test('next-auth', async () => {
  process.env.NEXTAUTH_URL = 'http://127.0.0.1:3000'
  const route = nextRoute(NextAuth.default({
    secret: 'a secret of this test',
    providers: [{
      id: 'countersign', name: 'Countersign', type: 'oauth', wellKnown: `${issuer.origin}/.well-known/openid-configuration`,
      authorization: { params: { scope: 'openid email profile' } }, idToken: true, checks: ['pkce', 'state'],
      clientId: 'nextauth', clientSecret,
      profile: ({ sub, name, email }) => ({ id: sub, name, email }),
    }],
  }))
  const user = await signIn(route, 'http://127.0.0.1:3000/api/auth')
  assert.deepEqual([user?.name, user?.email], [username, 'alice@example.net'])
})
