// A user who goes where applications lead, and does what the hosted pages ask. This needs
// no browser: other tests check the pages in one.
import { issuer, password, username } from './signin.js'

export class Person {
  #cookies = new Map()

  // visit opens an address, follows redirects and fills in pages, and returns the request
  // that the browser finally makes to an application.
  async visit(address, decision = 'allow') {
    let page = await this.#ask(address)
    for (let steps = 0; steps < 10; steps++) {
      const to = page.headers.get('location')
      if (to !== null) {
        const next = new URL(to, page.url)
        if (next.origin !== issuer.origin) return new Request(next)
        page = await this.#ask(next)
        continue
      }
      const { id, action, fields } = form(await page.text(), page)
      switch (id) {
        case 'login-form':
          fields.set('username', username)
          fields.set('password', password)
          break
        case 'consent-form':
          fields.set('decision', decision)
          break
        case 'logout-form':
          break
        case 'form-post':
          return new Request(action, { method: 'POST', body: fields })
        default:
          throw new Error(`unexpected form ${id}`)
      }
      page = await this.#ask(action, { method: 'POST', body: fields, headers: { Origin: issuer.origin } })
    }
    throw new Error('the pages lead in a circle')
  }

  async #ask(address, init = {}) {
    const cookie = [...this.#cookies].map(([name, value]) => `${name}=${value}`).join('; ')
    const response = await fetch(address, { ...init, redirect: 'manual', headers: { ...init.headers, Cookie: cookie } })
    for (const line of response.headers.getSetCookie()) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(line)
      if (/; Max-Age=0(;|$)/.test(line)) this.#cookies.delete(name)
      else this.#cookies.set(name, value)
    }
    return response
  }
}

// form returns the last form of a page, with its hidden fields.
function form(html, page) {
  const last = html.slice(html.lastIndexOf('<form '))
  const { id, action } = attributes(last)
  if (id === undefined) throw new Error(`${page.status} ${page.url}: a page without a form\n${html}`)
  const fields = new URLSearchParams()
  for (const [input] of last.matchAll(/<input type="hidden"[^>]*>/g)) {
    const { name, value } = attributes(input)
    fields.set(name, value)
  }
  return { id, action: new URL(action, page.url), fields }
}

// attributes returns the attributes of the element that a text begins with.
function attributes(html) {
  const [element] = /^[^>]*>|^/.exec(html)
  return Object.fromEntries([...element.matchAll(/ ([a-z-]+)="([^"]*)"/g)].map(([, name, value]) => [name, unescape(value)]))
}

const unescape = (text) =>
  text.replace(/&#(\d+);/g, (_, code) => String.fromCodePoint(code)).replace(/&lt;/g, '<').replace(/&gt;/g, '>').replace(/&amp;/g, '&')
