import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Auth } from '@auth/core'
import NextAuth from 'next-auth'
import { Person } from './person.js'
import { username } from './signin.js'

const application = process.env.APPLICATION

// signIn signs the user in at an application, which is a function from requests to responses,
// and returns the user of the session that the application then has.
async function signIn(handler) {
  const cookies = new Map()
  const visit = async (path, body) => {
    const headers = { Cookie: [...cookies].map(([name, value]) => `${name}=${value}`).join('; ') }
    const response = await handler(new Request(new URL(path, application), { method: body ? 'POST' : 'GET', body, headers }))
    for (const line of response.headers.getSetCookie()) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(line)
      cookies.set(name, value)
    }
    return response
  }
  const { csrfToken } = await (await visit('/api/auth/csrf')).json()
  const ask = await visit('/api/auth/signin/countersign', new URLSearchParams({ csrfToken }))
  const answer = await new Person().visit(ask.headers.get('location'))
  await visit(answer.url)
  return (await (await visit('/api/auth/session')).json()).user
}

// pasted runs the configuration that a preset prints. Next.js would import NextAuth.
async function pasted(preset, NextAuth) {
  globalThis.NextAuth = NextAuth
  const text = JSON.parse(process.env.PRESETS)[preset].replace('import NextAuth from "next-auth"', '')
  return import(`data:text/javascript,${encodeURIComponent(text)}`)
}

test('Auth.js', async () => {
  const more = { basePath: '/api/auth', trustHost: true, secret: 'a secret of this test' }
  const { handlers } = await pasted('authjs', (config) => ({ handlers: (request) => Auth(request, { ...config, ...more }) }))
  const user = await signIn(handlers)
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
  process.env.NEXTAUTH_URL = application
  process.env.NEXTAUTH_SECRET = 'a secret of this test'
  const { POST } = await pasted('nextauth', NextAuth.default)
  const user = await signIn(nextRoute(POST))
  assert.deepEqual([user?.name, user?.email], [username, 'alice@example.net'])
})
