// These tests cover what a real browser and a real server can't be made to do; test/browser
// covers the rest.

import assert from "node:assert/strict";
import { beforeEach, mock, test } from "node:test";

import { CountersignError, countersign } from "./countersign.js";

const url = "https://auth.example.com";
const api = "https://api.example.com";
const alice = { id: "1", username: "alice", email_verified: false, roles: [] };
const bob = { ...alice, id: "2", username: "bob" };

/** Answers requests in turn: with a response, or with what a function returns for the request. */
let answers;
let requests;
let events; // of the page
let tabs; // channels between them

beforeEach(() => {
  mock.reset();
  mock.timers.reset();
  answers = [];
  requests = [];
  events = new EventTarget();
  tabs = new Set();
  for (const one of ["location", "history", "sessionStorage"]) delete globalThis[one];
  globalThis.addEventListener = events.addEventListener.bind(events);
  globalThis.BroadcastChannel = class {
    constructor(name) {
      this.name = name;
      tabs.add(this);
    }
    postMessage(data) {
      const copy = structuredClone(data);
      for (const tab of tabs) if (tab !== this && tab.name === this.name) tab.onmessage({ data: copy });
    }
    close() {
      tabs.delete(this);
    }
  };
  mock.method(globalThis, "fetch", async (input, init) => {
    const request = new Request(input, init);
    requests.push(request);
    const answer = answers.shift();
    assert.ok(answer, `unexpected ${request.method} ${request.url}`);
    return typeof answer === "function" ? answer(request) : answer;
  });
});

const json = (body, status = 200, headers = {}) => new Response(JSON.stringify(body), { status, headers });
const signedIn = (token = "t1", user = alice) => json({ access_token: token, token_type: "Bearer", expires_in: 600, user });
const problem = (type, status, more = {}, headers) =>
  json({ type: `urn:countersign:problem:${type}`, title: "Title", detail: "Detail.", status, ...more }, status, headers);
const lost = () => {
  throw new TypeError("network");
};
const paths = () => requests.map((r) => `${r.method} ${new URL(r.url).pathname}`);
const bearers = () => requests.map((r) => r.headers.get("Authorization"));
const connect = () => countersign({ url, resourceServers: [api] });
const settled = () => new Promise((resolve) => setImmediate(resolve));

/** Lets time pass, in steps, until the promise settles. */
async function passing(promise) {
  let done = false;
  const end = () => (done = true);
  promise.then(end, end);
  for (let step = 0; !done && step < 1000; step++) {
    await settled();
    mock.timers.tick(100);
  }
  return promise;
}

async function signIn(auth, user = alice) {
  answers.push(signedIn("t1", user));
  await auth.signIn({ username: user.username, password: "secret" });
  requests.length = 0;
}

test("the server is asked once who is signed in", async () => {
  answers.push(signedIn());
  const auth = connect();
  const [one, other] = await Promise.all([auth.user(), auth.user()]);
  assert.deepEqual([one, other, await auth.user()], [alice, alice, alice]);
  assert.deepEqual(paths(), ["POST /session/refresh"]);
});

test("no user is signed in", async () => {
  answers.push(problem("login_required", 401), json({}));
  const auth = connect();
  assert.equal(await auth.user(), null);
  await assert.rejects(auth.sessions(), { code: "login_required" });
  await auth.fetch(`${api}/public`);
  assert.deepEqual(bearers(), [null, null]);
});

test("only a login_required signs out", async (t) => {
  const failures = {
    "no answer": lost,
    "another 401": () => json({}, 401),
    "a broken server": () => problem("internal", 500),
    "a page of a hotel": () => new Response("<html>", { status: 200 }),
    "another JSON": () => json({ hello: "world" }),
    "an origin that isn't allowed": () => problem("origin_not_allowed", 403),
    "a proxy": () => new Response("Bad Gateway", { status: 502 }),
    "a limit": () => problem("throttled", 429, {}, { "Retry-After": "3600" }),
  };
  for (const [name, failure] of Object.entries(failures)) {
    await t.test(name, async () => {
      mock.timers.enable({ apis: ["setTimeout", "Date"] });
      mock.method(performance, "now", () => Date.now());
      const auth = connect();
      const changes = [];
      auth.onChange((change) => changes.push(change.reason));
      await signIn(auth);
      mock.timers.tick(601_000);
      answers = Array(50).fill(failure);
      await assert.rejects(passing(auth.fetch(api)), CountersignError);
      assert.deepEqual(await auth.user(), alice);
      answers = [signedIn("t2"), json({})];
      await auth.fetch(api);
      assert.equal(bearers().at(-1), "Bearer t2");
      assert.deepEqual(changes, ["signed_in"]);
      mock.timers.reset();
    });
  }
});

test("a lost answer is asked for again, at growing intervals", async () => {
  mock.timers.enable({ apis: ["setTimeout", "Date"] });
  mock.method(performance, "now", () => Date.now());
  answers.push(lost, () => new Response("", { status: 504 }), lost, signedIn());
  assert.deepEqual(await passing(connect().user()), alice);
  assert.equal(requests.length, 4);
});

test("Retry-After is obeyed", async () => {
  mock.timers.enable({ apis: ["setTimeout", "Date"], now: Date.parse("2026-01-01T00:00:00Z") });
  mock.method(performance, "now", () => Date.now());
  const at = [];
  const note = (answer) => () => (at.push(Date.now()), answer);
  answers.push(
    note(problem("unavailable", 503, {}, { "Retry-After": "3" })),
    note(problem("throttled", 429, {}, { "Retry-After": "Thu, 01 Jan 2026 00:00:08 GMT" })),
    note(signedIn()),
  );
  await passing(connect().user());
  assert.ok(at[1] - at[0] >= 3000 && at[1] - at[0] < 4000, `waited ${at[1] - at[0]} ms`);
  assert.ok(at[2] >= Date.parse("2026-01-01T00:00:08Z"), `came at ${new Date(at[2]).toISOString()}`);
});

test("a refresh whose answer was lost is done as soon as there is a network", async () => {
  mock.timers.enable({ apis: ["setTimeout", "Date"] });
  mock.method(performance, "now", () => Date.now());
  const auth = connect();
  await signIn(auth);
  mock.timers.tick(601_000);
  answers = Array(20).fill(lost);
  await assert.rejects(passing(auth.fetch(api)), { code: "unreachable", status: 0 });
  requests.length = 0;
  answers = [signedIn("t2")];
  events.dispatchEvent(new Event("online"));
  events.dispatchEvent(new Event("online"));
  await settled();
  await settled();
  assert.deepEqual(paths(), ["POST /session/refresh"]);
});

test("the token goes to the server and the resource servers only", async () => {
  const auth = connect();
  await signIn(auth);
  const right = [`${url}/userinfo`, `${api}/a?b#c`, new URL(api), new Request(`${api}/d`)];
  const wrong = [
    "https://example.com",
    "https://evil-api.example.com",
    "https://api.example.com.evil.example",
    "https://api.example.com:8443",
    "http://api.example.com",
    "https://evil.example/?https://api.example.com",
  ];
  answers = [...right, ...wrong].map(() => json({}));
  for (const one of [...right, ...wrong]) await auth.fetch(one);
  assert.deepEqual(bearers(), [...right.map(() => "Bearer t1"), ...wrong.map(() => null)]);
});

test("the caller's own credentials are left alone", async () => {
  const auth = connect();
  await signIn(auth);
  answers = [json({}, 401)];
  const response = await auth.fetch(api, { headers: { Authorization: "Basic eA==" } });
  assert.equal(response.status, 401);
  assert.deepEqual(bearers(), ["Basic eA=="]);
});

test("a refused token is refreshed once and the request sent again, body and all", async () => {
  const auth = connect();
  await signIn(auth);
  const bodies = [];
  const note = (answer) => async (request) => (bodies.push(await request.text()), answer);
  answers = [note(json({}, 401)), signedIn("t2"), note(json({}, 401))];
  const response = await auth.fetch(api, { method: "PUT", body: "text", headers: { "X-Own": "1" } });
  assert.equal(response.status, 401);
  assert.deepEqual(bodies, ["text", "text"]);
  assert.deepEqual(bearers(), ["Bearer t1", null, "Bearer t2"]);
  assert.equal(requests[2].headers.get("X-Own"), "1");
});

test("requests that are refused together are followed by one refresh", async () => {
  const auth = connect();
  await signIn(auth);
  const answer = (request) => json({}, request.headers.get("Authorization") === "Bearer t2" ? 200 : 401);
  answers = [answer, answer, answer, signedIn("t2"), answer, answer, answer];
  const responses = await Promise.all([1, 2, 3].map(() => auth.fetch(api)));
  assert.deepEqual(responses.map((r) => r.status), [200, 200, 200]);
});

test("a session that has ended ends here", async () => {
  const auth = connect();
  const changes = [];
  auth.onChange((change) => changes.push(change));
  await signIn(auth);
  answers = [json({}, 401), problem("login_required", 401)];
  await assert.rejects(auth.fetch(api), { code: "login_required", status: 401 });
  assert.equal(await auth.user(), null);
  assert.deepEqual(changes, [
    { reason: "signed_in", user: alice },
    { reason: "expired", user: null },
  ]);
});

test("a request that one user made isn't sent for another", async () => {
  const auth = connect();
  await signIn(auth);
  answers = [json({}, 401), signedIn("t2", bob)];
  await assert.rejects(auth.fetch(api, { method: "DELETE" }), { code: "user_changed" });
  assert.deepEqual(await auth.user(), bob);
});

test("the cookie opens the account, and only for the user who asks", async () => {
  const auth = connect();
  await signIn(auth);
  answers = [json(alice), json({ sessions: [] }), json(alice), new Response(null, { status: 204 }), json({})];
  await auth.sessions();
  await auth.prove({ currentPassword: "secret" });
  await auth.fetch(`${url}/account/profile`);
  assert.deepEqual(paths(), ["GET /session", "GET /account/sessions", "GET /session", "POST /account/proof", "GET /account/profile"]);
  assert.deepEqual(bearers(), [null, null, null, null, null]);
  assert.deepEqual(await requests[3].json(), { current_password: "secret" });

  // Another tab, whose message is lost, has signed in another user.
  requests.length = 0;
  answers = [json(bob), signedIn("t2", bob)];
  await assert.rejects(auth.deleteAccount(), { code: "user_changed" });
  assert.deepEqual(paths(), ["GET /session"]);
  assert.deepEqual(await auth.user(), bob);

  answers = [problem("login_required", 401)];
  await assert.rejects(auth.sessions(), { code: "login_required" });
  assert.equal(await auth.user(), null);
});

test("a profile keeps what isn't changed, and no other request comes between", async () => {
  const auth = connect();
  await signIn(auth);
  const stored = { name: "Alice", nickname: "Al", address: { locality: "Seoul", country: "KR" } };
  let written;
  answers = [
    json(alice),
    json(stored),
    async (request) => json((written = await request.json())),
    json(alice),
    json({ consents: [{ client_id: "a/b" }] }),
    json(alice),
    new Response(null, { status: 204 }),
  ];
  const changes = { nickname: null, website: "https://alice.example", zoneinfo: undefined, address: { locality: "Busan", country: null } };
  const [after, consents] = await Promise.all([auth.updateProfile(changes), auth.consents()]);
  assert.deepEqual(written, { name: "Alice", website: "https://alice.example", address: { locality: "Busan" } });
  assert.deepEqual([after, consents], [written, [{ client_id: "a/b" }]]);
  await auth.withdrawConsent("a/b");
  assert.deepEqual(paths(), [
    "GET /session",
    "GET /account/profile",
    "PUT /account/profile",
    "GET /session",
    "GET /account/consents",
    "GET /session",
    "DELETE /account/consents/a%2Fb",
  ]);
});

test("the access token for what isn't fetch", async () => {
  const auth = connect();
  answers = [problem("login_required", 401)];
  assert.equal(await auth.getAccessToken(), null);
  await signIn(auth);
  assert.equal(await auth.getAccessToken(), "t1");
  assert.deepEqual(requests, []);
  answers = [signedIn("t2")];
  const both = await Promise.all([auth.getAccessToken({ refused: "t1" }), auth.getAccessToken({ refused: "t1" })]);
  assert.deepEqual([...both, await auth.getAccessToken({ refused: "t1" })], ["t2", "t2", "t2"]);
  assert.deepEqual(paths(), ["POST /session/refresh"]);
  answers = [signedIn("t3", bob)];
  await assert.rejects(auth.getAccessToken({ refused: "t2" }), { code: "user_changed" });
  answers = [problem("login_required", 401)];
  assert.equal(await auth.getAccessToken({ refused: "t3" }), null);
  answers = [json({ expires_in: 600, user: alice })];
  await auth.signIn({ username: "alice", password: "secret" });
  assert.equal(await auth.getAccessToken(), null, "it is in a cookie");
});

test("the token is refreshed before it expires, by the clock that says later", async (t) => {
  const clocks = { "both clocks go": [580, 580], "the computer slept": [0, 580], "the clock was set back": [580, -86400] };
  for (const [name, [monotonic, date]] of Object.entries(clocks)) {
    await t.test(name, async () => {
      mock.reset();
      mock.timers.enable({ apis: ["Date"], now: 1e12 });
      let now = 5000;
      mock.method(performance, "now", () => now);
      mock.method(globalThis, "fetch", async (input, init) => (requests.push(new Request(input, init)), answers.shift()));
      const auth = connect();
      await signIn(auth);
      answers = [json({}), signedIn("t2"), json({})];
      await auth.fetch(api);
      now += monotonic * 1000;
      mock.timers.setTime(1e12 + date * 1000);
      await auth.fetch(api);
      assert.deepEqual(bearers(), ["Bearer t1", null, "Bearer t2"]);
      mock.timers.reset();
    });
  }
});

test("while it lives, a token that can't be refreshed is used", async () => {
  mock.timers.enable({ apis: ["setTimeout", "Date"] });
  mock.method(performance, "now", () => Date.now());
  const auth = connect();
  await signIn(auth);
  mock.timers.tick(580_000);
  answers = [problem("internal", 500), json({})];
  assert.equal((await auth.fetch(api)).status, 200);
  assert.equal(bearers().at(-1), "Bearer t1");
});

test("with an access cookie no header is added, and the cookie goes to the same servers", async () => {
  const auth = connect();
  answers = [json({ expires_in: 600, user: alice }), json({}, 401), json({ expires_in: 600, user: alice }), json({}), json({})];
  await auth.user();
  await auth.fetch(api, { method: "POST", body: "text" });
  await auth.fetch("https://example.com");
  assert.deepEqual(bearers(), [null, null, null, null, null]);
  assert.deepEqual(requests.map((r) => r.credentials), ["include", "include", "include", "include", "same-origin"]);
  assert.equal(await requests[3].text(), "text");
});

test("tabs tell each other", async () => {
  const [one, other] = [connect(), connect()];
  const changes = [];
  other.onChange(({ reason, user }) => changes.push([reason, user?.username]));
  answers = [problem("login_required", 401)];
  await other.user();
  await signIn(one);
  answers = [json({})];
  await other.fetch(api);
  assert.deepEqual(bearers(), ["Bearer t1"], "the token is shared");
  answers = [json({}, 401), signedIn("t2", { ...alice, email_verified: true }), json({}), json({})];
  await one.fetch(api);
  await other.fetch(api);
  assert.equal(bearers().at(-1), "Bearer t2", "the new token too");
  await signIn(one, bob);
  answers = [new Response(null, { status: 204 })];
  await one.signOut();
  await settled();
  assert.deepEqual(changes, [
    ["signed_in", "alice"],
    ["updated", "alice"],
    ["signed_in", "bob"],
    ["signed_out", undefined],
  ]);
});

test("a page that comes back from the back-forward cache asks who is signed in", async () => {
  const auth = connect();
  const changes = [];
  auth.onChange((change) => changes.push(change.reason));
  await signIn(auth);
  events.dispatchEvent(new Event("pagehide"));
  assert.equal(tabs.size, 0, "a page in the cache listens to no tab");
  answers = [problem("login_required", 401)];
  events.dispatchEvent(Object.assign(new Event("pageshow"), { persisted: true }));
  assert.equal(await auth.user(), null);
  assert.deepEqual(changes, ["signed_in", "expired"]);
  assert.equal(tabs.size, 1);
});

test("waiting for another tab's lock ends", async () => {
  mock.method(AbortSignal, "timeout", () => AbortSignal.abort(new DOMException("timeout", "TimeoutError")));
  const locks = {
    request: async (name, { signal }) => {
      throw signal.reason;
    },
  };
  const before = Object.getOwnPropertyDescriptor(globalThis, "navigator");
  Object.defineProperty(globalThis, "navigator", { value: { locks }, configurable: true });
  mock.method(globalThis, "fetch", async () => signedIn());
  try {
    assert.deepEqual(await connect().user(), alice);
  } finally {
    if (before) Object.defineProperty(globalThis, "navigator", before);
    else delete globalThis.navigator;
  }
});

test("a sign-out that didn't reach the server leaves the user signed in", async () => {
  const auth = connect();
  await signIn(auth);
  answers = [problem("internal", 500)];
  await assert.rejects(auth.signOut(), { code: "internal" });
  assert.deepEqual(await auth.user(), alice);
});

test("a password that was reset by mail may have been the signed-in user's", async () => {
  const auth = connect();
  await signIn(auth);
  answers = [new Response(null, { status: 204 }), problem("login_required", 401)];
  await auth.resetPassword({ token: "t", newPassword: "p" });
  assert.equal(await auth.user(), null);
  assert.deepEqual(paths(), ["POST /account/password/reset", "POST /session/refresh"]);
});

test("errors say what the server says", async () => {
  const auth = connect();
  answers = [problem("invalid_input", 400, { errors: [{ field: "password", code: "too_short", detail: "Longer." }] })];
  const err = await auth.signUp({ username: "a", password: "b" }).catch((err) => err);
  assert.ok(err instanceof CountersignError && err instanceof Error);
  assert.deepEqual(
    [err.code, err.status, err.message, err.errors[0].code, err.retryAfter],
    ["invalid_input", 400, "Detail.", "too_short", undefined],
  );
  answers = [problem("throttled", 429, {}, { "Retry-After": "7" })];
  await assert.rejects(auth.signIn({}), { code: "throttled", retryAfter: 7 });
  answers = [new Response("<html>", { status: 503 })];
  await assert.rejects(auth.resetPassword({}), { code: "unavailable", errors: [] });
  answers = [json({ error: "insufficient_scope", error_description: "no" }, 403)];
  await assert.rejects(auth.verifyEmail({}), { code: "unexpected", reason: "insufficient_scope", message: "no" });
});

/** Puts the module into a page at an address, and returns the page's parts. */
function page(href) {
  const kept = new Map();
  const own = { getItem: (key) => kept.get(key) ?? null, setItem: (key, value) => kept.set(key, value), removeItem: (key) => kept.delete(key) };
  const storage = new Proxy(own, { ownKeys: () => [...kept.keys()], getOwnPropertyDescriptor: () => ({ enumerable: true, configurable: true }) });
  const went = [];
  const location = {
    href,
    get origin() {
      return new URL(this.href).origin;
    },
    get pathname() {
      return new URL(this.href).pathname;
    },
    assign: (to) => went.push(new URL(to)),
  };
  const history = { state: { own: true }, replaceState: (state, _, to) => (assert.equal(state, history.state), (location.href = String(to))) };
  Object.assign(globalThis, { location, history, sessionStorage: storage });
  return { kept, went, location };
}

const app = "https://app.example.com/start";
const answerTo = (request, values, at = app) => `${at}?${new URLSearchParams({ ...values, state: request.searchParams.get("state"), iss: url })}`;

/** Begins a sign-in, whether or not a user is signed in, and returns the authorization request. */
async function leave(auth, went, options, before = problem("login_required", 401)) {
  answers.push(before);
  await auth.signInWithRedirect(options);
  requests.length = 0;
  return went.at(-1);
}

test("a sign-in on the server's page", async () => {
  const { kept, went, location } = page(`${app}?tab=2#there`);
  const before = countersign({ url, clientID: "shop", scope: "openid", uiLocales: "ko" });
  const request = await leave(before, went, { loginHint: "alice", prompt: "login", appState: { at: "#there" } });
  assert.equal(request.origin + request.pathname, `${url}/oauth/authorize`);
  const { state, code_challenge: challenge, ...rest } = Object.fromEntries(request.searchParams);
  assert.deepEqual(rest, {
    response_type: "code",
    client_id: "shop",
    redirect_uri: app,
    code_challenge_method: "S256",
    scope: "openid",
    login_hint: "alice",
    prompt: "login",
    ui_locales: "ko",
  });
  assert.match(state, /^[\w-]{43}$/);

  location.href = `${answerTo(request, { code: "c1" })}&tab=2#here`;
  let body;
  answers = [async (r) => ((body = await r.json()), signedIn())];
  const auth = countersign({ url });
  assert.deepEqual(await auth.completeSignIn(), { user: alice, appState: { at: "#there" } });
  assert.equal(location.href, `${app}?tab=2#here`);
  assert.equal(kept.size, 0);
  assert.deepEqual(paths(), ["POST /session"]);
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(body.code_verifier));
  assert.equal(Buffer.from(digest).toString("base64url"), challenge);
  assert.deepEqual(body, { code: "c1", code_verifier: body.code_verifier, redirect_uri: app });
  assert.match(body.code_verifier, /^[\w-]{43}$/);
  assert.deepEqual([await auth.user(), await auth.completeSignIn()], [alice, null]);
});

test("an address without an answer of the server is left alone", async () => {
  const { kept, went, location } = page(app);
  const auth = connect();
  await leave(auth, went);
  for (const query of ["", "?code=SUMMER", "?state=CA", "?state=CA&code=12", "?state=x&code=y&iss=https://other.example.com", "?state=x&iss=" + url]) {
    location.href = app + query;
    assert.equal(await auth.completeSignIn(), null);
    assert.equal(location.href, app + query);
  }
  assert.equal(kept.size, 1);
  assert.deepEqual(requests, []);
});

test("a refusal says why", async () => {
  const { kept, went, location } = page(app);
  const auth = connect();
  const request = await leave(auth, went, { prompt: "none" });
  location.href = answerTo(request, { error: "login_required", error_description: "no user is here" });
  await assert.rejects(auth.completeSignIn(), { name: "CountersignError", code: "sign_in_refused", reason: "login_required", message: "no user is here" });
  assert.deepEqual([location.href, kept.size, requests.length], [app, 0, 0]);
});

test("an answer of another issuer is refused, and its code sent nowhere", async () => {
  for (const iss of ["https://evil.example.com", `${url}/`, undefined]) {
    const { kept, went, location } = page(app);
    const auth = connect();
    const to = new URL(answerTo(await leave(auth, went), { code: "c1" }));
    if (iss) to.searchParams.set("iss", iss);
    else to.searchParams.delete("iss");
    location.href = to.href;
    await assert.rejects(auth.completeSignIn(), { code: "wrong_issuer" });
    assert.deepEqual([location.href, kept.size, requests.length], [app, 0, 0]);
  }
});

test("an answer that this tab didn't ask for is never used", async () => {
  const { location } = page(app);
  const forged = `${app}?code=c1&state=s&iss=${encodeURIComponent(url)}`;
  location.href = forged;
  const auth = connect();
  answers = [problem("login_required", 401)];
  await assert.rejects(auth.completeSignIn(), { code: "unknown_state" });
  assert.equal(location.href, app);
  await signIn(auth);
  location.href = forged;
  assert.equal(await auth.completeSignIn(), null);
  assert.deepEqual([await auth.user(), location.href], [alice, app]);
});

test("a page may complete a sign-in twice", async () => {
  const { went, location } = page(app);
  const request = await leave(connect(), went);
  const back = (location.href = answerTo(request, { code: "c1" }));
  const auth = connect();
  answers = [signedIn()];
  const results = await Promise.all([auth.completeSignIn(back), auth.completeSignIn(back), auth.completeSignIn(), auth.user()]);
  assert.deepEqual(results, [{ user: alice, appState: undefined }, null, null, alice]);
  assert.deepEqual(paths(), ["POST /session"]);
});

test("attempts in one tab don't get in each other's way, and the last one leaves nothing", async () => {
  const { kept, went, location } = page(app);
  const auth = connect();
  const first = await leave(auth, went, { appState: 1 });
  await auth.signInWithRedirect({ appState: 2 });
  assert.notEqual(first.href, went.at(-1).href);
  assert.equal(kept.size, 2);
  location.href = answerTo(first, { code: "c1" });
  answers = [signedIn()];
  assert.equal((await auth.completeSignIn()).appState, 1);
  assert.equal(kept.size, 0);
});

test("where the answer with the session is lost, the cookie tells whether it was there", async (t) => {
  const cases = {
    "it came": [problem("login_required", 401), signedIn("t1", alice), true],
    "it didn't": [problem("login_required", 401), problem("login_required", 401), false],
    "another user was here, and isn't": [signedIn("t0", bob), signedIn("t1", alice), true],
    "another user was here, and still is": [signedIn("t0", bob), signedIn("t0", bob), false],
    "the server can't say who is here": [problem("login_required", 401), problem("internal", 500), false],
  };
  for (const [name, [before, refreshed, good]] of Object.entries(cases)) {
    await t.test(name, async () => {
      const { went, location } = page(app);
      const request = await leave(connect(), went, {}, before);
      location.href = answerTo(request, { code: "c1" });
      answers = [lost, refreshed];
      const completed = connect().completeSignIn();
      if (good) assert.deepEqual((await completed).user, alice);
      else await assert.rejects(completed, CountersignError);
      assert.deepEqual(paths(), ["POST /session", "POST /session/refresh"], "the code is sent once");
    });
  }
});

test("an invalid code signs no user out", async () => {
  const { went, location } = page(app);
  const auth = connect();
  await signIn(auth);
  await auth.signInWithRedirect({ prompt: "login" });
  location.href = answerTo(went.at(-1), { code: "c1" });
  answers = [problem("invalid_code", 401)];
  await assert.rejects(auth.completeSignIn(), { code: "invalid_code" });
  assert.deepEqual(await auth.user(), alice);
});

test("an empty field of a form is none", async () => {
  answers = [json(alice), json(alice)];
  const auth = connect();
  await auth.signUp({ username: "", email: "alice@example.com", password: "secret" });
  await auth.signUp({ username: "alice", email: "", password: "secret" });
  const bodies = await Promise.all(requests.map((r) => r.json()));
  assert.deepEqual(bodies, [
    { email: "alice@example.com", password: "secret" },
    { username: "alice", password: "secret" },
  ]);
});

test("a resource server is an origin", () => {
  for (const wrong of ["https://api.example.com/v1", "api.example.com", "null", "*", "https://*.example.com:*", "data:,"]) {
    assert.throws(() => countersign({ url, resourceServers: [wrong] }), TypeError, wrong);
  }
  assert.throws(() => countersign(), /give the server's url/);
});
