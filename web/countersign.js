// Countersign in the browser: signs users in, keeps them signed in, and calls
// APIs for them.
//
//   import { countersign } from "https://auth.example.com/assets/countersign.js";
//
//   const auth = countersign({ resourceServers: ["https://api.example.com"] });
//   const user = (await auth.user()) ?? (await auth.signIn({ username, password }));
//   const orders = await auth.fetch("https://api.example.com/orders");
//
// A page that should see no password calls auth.signInWithRedirect() instead, which
// sends the browser to the server's page, and auth.completeSignIn() when it is back.
//
// The refresh token is in a cookie that no script can read. The access token is only
// in memory, never in a storage; tabs pass it to each other. All tabs share the one
// cookie, so only one tab at a time does what changes it. In a browser without locks
// two tabs may refresh at once; the server then gives both the same token, as it does
// to a tab that asks again because the answer was lost.

/**
 * Says what went wrong. `code` is the kind of error, one word that doesn't change; `reason`
 * is an error of OAuth or OpenID Connect, if there is one. `challenge`, with the code
 * second_factor_required, is what `answer` takes; `enrolURL`, with factor_enrolment_required,
 * is the server's page where the user sets up a second factor.
 */
export class CountersignError extends Error {
  constructor(code, message, { status = 0, errors = [], retryAfter, reason, challenge, enrolURL, cause } = {}) {
    super(message, { cause });
    this.name = "CountersignError";
    this.code = code;
    this.reason = reason;
    this.status = status;
    this.errors = errors;
    this.retryAfter = retryAfter;
    this.challenge = challenge;
    this.enrolURL = enrolURL;
  }
}

// In seconds:
const attemptTimeout = 10; // for one refresh, well within the time in which the server repeats a lost answer
const requestTimeout = 30; // for other requests, which the server may queue
const retryTimeout = 15; // for all attempts at a refresh together
const lockTimeout = 10; // for another tab that holds the lock and hangs
const passkeyTimeout = 240; // after which a passkey that the browser offers needs new options: the server takes them for 300
const messageTimeout = 0.2; // for the message of another tab that has released the lock

/** Connects to a Countersign server, by default the one that served this module. */
export function countersign({ url = servedFrom(), resourceServers = [], uiLocales, clientID = "spa", scope } = {}) {
  const server = new URL(url, globalThis.location?.href);
  const base = server.href.replace(/\/+$/, "");
  const name = `countersign ${base}`; // of the lock and of the channel between tabs
  const trusted = new Set([server.origin, ...resourceServers.map(originOf)]);
  const listeners = new Set();

  let session; // undefined: not known yet; null: no user is signed in
  let uncertain = true; // whether to ask the server which user is signed in
  let changedAt = 0; // when session last changed
  let refreshing; // the refresh under way in this tab
  let lost = false; // whether the last refresh had no answer
  let channel = openChannel();

  globalThis.addEventListener?.("online", () => {
    // The server repeats a lost answer only for a minute.
    if (lost) refresh(session).catch(() => {});
  });
  // A page in the back-forward cache gets no messages, so it asks when it is back.
  globalThis.addEventListener?.("pagehide", () => {
    channel?.close();
    channel = undefined;
  });
  globalThis.addEventListener?.("pageshow", (event) => {
    channel ??= openChannel();
    if (!event.persisted || session === undefined) return;
    uncertain = true;
    refresh(session).catch(() => {});
  });

  // The user

  async function user() {
    if (uncertain) await refresh(session);
    return session?.user ?? null;
  }

  function onChange(listener) {
    const own = (change) => listener(change); // a caller may add the same function twice
    listeners.add(own);
    return () => void listeners.delete(own);
  }

  const signUp = ({ username, password, email }) =>
    send("POST", "/signup", {
      json: { username: username || undefined, password, email: email || undefined, ui_locales: uiLocales }, // a form's empty field is none
    }).then(read);

  const signIn = ({ username, password }) => exclusively(() => open({ username, password }));

  // Opens a session for a proof: a password or an authorization code.
  async function open(proof, path = "/session") {
    const since = clock();
    const answer = await send("POST", path, { json: proof, keepalive: true }).then(read);
    become(sessionOf(answer, since), "signed_in");
    return answer.user;
  }

  // Goes on with a sign-in that was refused with second_factor_required: by a code, or
  // without one by a passkey. After a wrong code the challenge is as good as before.
  async function answer({ challenge, methods, publicKey }, { code, method, remember } = {}) {
    const proof = { challenge, remember, method: method ?? (code === undefined ? "passkey" : methods.find((one) => one !== "passkey")) };
    if (proof.method === "passkey") proof.credential = await passkey("get", "parseRequestOptionsFromJSON", publicKey);
    else proof.code = code;
    return exclusively(() => open(proof, "/session/factor"));
  }

  // Signs in by a passkey alone. With conditional, the browser offers passkeys in the field
  // with autocomplete="username webauthn", and this waits until the user chooses one.
  async function signInWithPasskey({ conditional = false, signal } = {}) {
    if (conditional && !(await globalThis.PublicKeyCredential?.isConditionalMediationAvailable?.())) throw unsupported();
    for (;;) {
      const { challenge, publicKey } = await send("POST", "/session/passkey/options").then(read);
      const late = conditional ? AbortSignal.timeout(passkeyTimeout * 1000) : undefined;
      let credential;
      try {
        const signals = [signal, late].filter(Boolean);
        credential = await passkey("get", "parseRequestOptionsFromJSON", publicKey, conditional ? { mediation: "conditional" } : {}, signals);
      } catch (err) {
        if (late?.aborted && !signal?.aborted) continue; // the options are old: offer new ones
        throw err;
      }
      return exclusively(() => open({ challenge, credential }, "/session/passkey"));
    }
  }

  // Asks the browser for a passkey. It answers one request at a time, so the one before ends.
  let asked;
  async function passkey(does, parse, json, more = {}, signals = []) {
    const from = globalThis.PublicKeyCredential;
    if (!from?.[parse] || !json) throw unsupported();
    asked?.abort();
    asked = new AbortController();
    try {
      return await navigator.credentials[does]({ publicKey: from[parse](json), signal: AbortSignal.any([asked.signal, ...signals]), ...more });
    } catch (err) {
      throw new CountersignError(passkeyErrors[err.name] ?? "passkey_failed", err.message, { cause: err });
    }
  }

  // If the server doesn't answer, the cookie and the session remain.
  const signOut = () =>
    persistently(() =>
      exclusively(async () => {
        await send("DELETE", "/session", { keepalive: true }).then(read);
        become(null, "signed_out");
      }),
    );

  // Signing in on the server's page (RFC 6749 section 4.1 with RFC 7636)

  // This tab keeps what only it knows of an attempt in its sessionStorage, by state.
  const attempts = `${name} `;

  async function signInWithRedirect({ redirectURI = location.origin + location.pathname, loginHint, prompt, uiLocales: locales = uiLocales, appState } = {}) {
    const before = (await user())?.id;
    const [state, verifier] = [random(), random()];
    const request = {
      response_type: "code",
      client_id: clientID,
      redirect_uri: redirectURI,
      state,
      code_challenge: base64url(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(verifier))),
      code_challenge_method: "S256",
      scope,
      login_hint: loginHint,
      prompt,
      ui_locales: locales,
    };
    sessionStorage.setItem(attempts + state, JSON.stringify({ verifier, redirectURI, before, appState }));
    location.assign(`${base}/oauth/authorize?${new URLSearchParams(Object.entries(request).filter(([, value]) => value))}`);
  }

  async function completeSignIn(url = location.href) {
    const answer = new URL(url, location.href).searchParams;
    const [state, iss, code, error] = ["state", "iss", "code", "error"].map((one) => answer.get(one));
    if (!state || (!code && !error)) return null;
    const attempt = take(state);
    if (!attempt && iss !== base) return null; // an answer for other code in the page
    clean(state);
    if (!attempt) {
      if (await user()) return null; // the user went Back to the server's page, which answered at once
      throw new CountersignError("unknown_state", "this sign-in didn't begin in this tab, or is already complete");
    }
    if (iss !== base) throw new CountersignError("wrong_issuer", `the answer comes from the issuer ${iss}, not from ${base}`);
    if (error) throw new CountersignError("sign_in_refused", answer.get("error_description") ?? error, { reason: error });
    return { user: await exchange(code, attempt), appState: attempt.appState };
  }

  // Returns what this tab knows of an attempt, once, and drops the tab's other attempts,
  // which the user has given up.
  function take(state) {
    const attempt = sessionStorage.getItem(attempts + state);
    if (!attempt) return undefined;
    for (const key of Object.keys(sessionStorage)) if (key.startsWith(attempts)) sessionStorage.removeItem(key);
    return JSON.parse(attempt);
  }

  // Removes an answer from the address, and so from the history.
  function clean(state) {
    const here = new URL(location.href);
    if (here.searchParams.get("state") !== state) return;
    for (const one of ["code", "state", "iss", "error", "error_description"]) here.searchParams.delete(one);
    history.replaceState(history.state, "", here);
  }

  // A code works once, and a second use ends the session. So if the answer is lost, the
  // cookie tells whether the code was used: it was if another user is signed in than before.
  async function exchange(code, { verifier, redirectURI, before }) {
    try {
      return await exclusively(() => open({ code, code_verifier: verifier, redirect_uri: redirectURI }));
    } catch (err) {
      if (!passing(err)) throw err;
      await refresh(session);
      if (!session || session.user.id === before) throw err;
      return session.user;
    }
  }

  // Adopts a session, or null for none, and tells this page and the other tabs.
  function become(next, reason) {
    channel?.postMessage({ session: next && { ...next, monotonic: undefined }, reason, at: Date.now() });
    change(next, reason, Date.now());
  }

  function change(next, reason, at) {
    const before = session;
    session = next;
    uncertain = lost = false;
    changedAt = at;
    if (before === undefined && reason === "refreshed") return; // found, not changed
    if (before?.user.id !== next?.user.id) {
      tell(next ? "signed_in" : reason, next?.user ?? null);
    } else if (JSON.stringify(before?.user) !== JSON.stringify(next?.user)) {
      tell("updated", next.user);
    }
  }

  function tell(reason, user) {
    for (const listener of listeners) queueMicrotask(() => listener({ reason, user }));
  }

  // Waits a moment for another tab's message.
  const message = () =>
    Promise.race([new Promise((resolve) => (heard = resolve)), new Promise((resolve) => setTimeout(resolve, messageTimeout * 1000))]);
  let heard;

  function openChannel() {
    if (!globalThis.BroadcastChannel) return undefined;
    const opened = new BroadcastChannel(name);
    opened.unref?.(); // otherwise Node would wait for it
    opened.onmessage = ({ data: { session: next, reason, at } }) => {
      if (at < changedAt) return; // a newer message of another tab overtook it
      change(next && { ...next, monotonic: performance.now() - Math.max(0, Date.now() - next.date) }, reason, at);
      heard?.();
    };
    return opened;
  }

  // Refreshing

  // Replaces the stale session by asking the server, unless another call or another tab
  // has already replaced it. Afterwards session is null if the server says that no user
  // is signed in; no other failure means that.
  function refresh(stale) {
    if (refreshing?.stale === stale && refreshing) return refreshing.done;
    const overtaken = () => session !== stale;
    const done = persistently(async () => {
      if (overtaken()) return;
      await exclusively(async (waited) => {
        // Locks and messages travel separately: the other tab's message may not be here yet.
        if (waited && !overtaken()) await message();
        if (!overtaken()) await renew();
      });
    });
    const own = (refreshing = { stale, done });
    const end = () => {
      if (refreshing === own) refreshing = undefined;
    };
    done.then(end, end);
    return done;
  }

  async function renew() {
    const since = clock();
    try {
      const options = { keepalive: true, timeout: attemptTimeout }; // a page that goes away still gets the new cookie
      become(sessionOf(await send("POST", "/session/refresh", options).then(read), since), "refreshed");
    } catch (err) {
      if (err.status === 401 && err.code === "login_required") {
        become(null, "expired");
        return;
      }
      lost = err.status === 0;
      throw err;
    }
  }

  // Does work that changes the cookie, one at a time in all tabs. It tells work whether
  // it had to wait for another tab.
  let queue = Promise.resolve();
  async function exclusively(work) {
    const locks = globalThis.navigator?.locks;
    if (!locks) {
      const turn = queue.then(() => work(false));
      queue = turn.catch(() => {});
      return turn;
    }
    let done; // the promise of work, once it has begun
    try {
      await locks.request(name, { ifAvailable: true }, (lock) => lock && (done = work(false)));
      const signal = AbortSignal.timeout(lockTimeout * 1000);
      if (!done) await locks.request(name, { signal }, () => (done = work(true)));
    } catch {
      done ??= work(true); // another tab hangs, or locks are forbidden here
    }
    return done;
  }

  // Calling APIs for the user

  // Like the global fetch, but sends the access token to the server and the resource
  // servers, and to no other.
  async function authorizedFetch(input, init) {
    const request = new Request(input, init);
    if (!trusted.has(new URL(request.url).origin) || request.headers.has("Authorization")) return fetch(request);
    return authorized((current) => {
      const copy = request.clone(); // the body is needed again if the server refuses this
      if (!current) return fetch(copy);
      if (!current.accessToken || opensByCookie(copy.url)) return fetch(new Request(copy, { credentials: "include" }));
      copy.headers.set("Authorization", `Bearer ${current.accessToken}`);
      return fetch(copy);
    });
  }

  // Returns the access token, for what doesn't use fetch: null if no user is signed in, or
  // the token is in a cookie. refused is a token that an API has answered with 401: then it
  // returns another one.
  async function getAccessToken({ refused } = {}) {
    let current;
    try {
      current = await usable();
      if (refused !== undefined && current?.accessToken === refused) {
        await refresh(current);
        current = sameUser(current);
      }
    } catch (err) {
      if (err.code !== "login_required") throw err;
    }
    return session && (current?.accessToken ?? null);
  }

  // Reports whether the cookie opens an address, and no access token of a page does.
  const opensByCookie = (address) => address === `${base}/account` || address.startsWith(`${base}/account/`);

  // Calls request with the session, and once more with a new session after a 401.
  async function authorized(request) {
    const current = await usable();
    const response = await request(current);
    if (response.status !== 401 || !current) return response;
    if (session === current) await refresh(current);
    return request(sameUser(current));
  }

  // Returns a session whose access token lives for a while, or null if no user is signed in.
  async function usable() {
    const current = session;
    const left = current ? current.expiresIn - age(current) : 0;
    if (!uncertain && (!current || left > Math.min(30, current.expiresIn / 5))) return current;
    try {
      await refresh(current);
    } catch (err) {
      if (uncertain || left <= 0) throw err;
    }
    return current ? sameUser(current) : session;
  }

  // Returns the current session if it is the same user's: a request that one user made
  // must not run for another.
  function sameUser(before) {
    if (!session) throw loginRequired();
    if (session.user.id === before.user.id) return session;
    throw userChanged();
  }

  // The account

  // The cookie opens the account, and all tabs share it. So a call takes its turn with what
  // changes the cookie, and first asks whose it is: a request that one user made must not
  // run for another.
  const account = (method, path, json) => turn((call) => call(method, path, json));

  // Does work, which calls the account, in one turn.
  const turn = async (work) => {
    const before = await user();
    if (!before) throw loginRequired();
    return exclusively(async () => {
      try {
        const now = await send("GET", "/session").then(read);
        if (now.id !== before.id) {
          uncertain = true;
          throw userChanged();
        }
        return await work((method, path, json) => send(method, path, { json }).then(read));
      } catch (err) {
        if (err.status === 401 && err.code === "login_required") become(null, "expired");
        throw err;
      }
    });
  };

  // Counts for ten minutes, in this session alone.
  const prove = async ({ currentPassword, code, passkey: byPasskey }) => {
    const proof = { current_password: currentPassword, code };
    if (byPasskey) {
      const { challenge, publicKey } = await send("POST", "/session/passkey/options").then(read);
      Object.assign(proof, { challenge, credential: await passkey("get", "parseRequestOptionsFromJSON", publicKey) });
    }
    return account("POST", "/account/proof", proof);
  };

  const factors = () => account("GET", "/account/factors").then((all) => all.factors);
  const beginTOTP = ({ name } = {}) => account("POST", "/account/factors/totp", { name });
  const confirmTOTP = ({ id, code }) => account("POST", `/account/factors/totp/${encodeURIComponent(id)}/confirm`, { code });
  const renewRecoveryCodes = () => account("POST", "/account/factors/recovery_codes").then((made) => made.recovery_codes);
  const renameFactor = ({ id, name }) => account("PATCH", `/account/factors/${encodeURIComponent(id)}`, { name });
  const removeFactor = async (id) => {
    await account("DELETE", `/account/factors/${encodeURIComponent(id)}`);
    try { // so that the browser offers it no more; it is removed, whatever comes of that
      const { accepted_passkeys: accepted } = await account("GET", "/account/factors");
      await globalThis.PublicKeyCredential?.signalAllAcceptedCredentials?.(accepted);
    } catch {}
  };
  const createPasskey = async ({ name } = {}) => {
    const { publicKey } = await account("POST", "/account/factors/passkeys/options");
    const credential = await passkey("create", "parseCreationOptionsFromJSON", publicKey);
    return account("POST", "/account/factors/passkeys", { name, credential });
  };
  const sessions = async () => {
    const all = [];
    let path = "/account/sessions";
    for (;;) {
      const page = await account("GET", path);
      all.push(...page.sessions);
      if (!page.next) return all;
      path = `/account/sessions?after=${encodeURIComponent(page.next)}`;
    }
  };
  const endSession = (id) => account("DELETE", `/account/sessions/${encodeURIComponent(id)}`);
  const endOtherSessions = () => account("DELETE", "/account/sessions");
  const profile = () => account("GET", "/account/profile");
  // The server takes whole profiles, so no other tab may write between reading and writing.
  const updateProfile = (changes) =>
    turn(async (call) => call("PUT", "/account/profile", merged(await call("GET", "/account/profile"), changes)));
  const consents = () => account("GET", "/account/consents").then((answer) => answer.consents);
  const withdrawConsent = (clientID) => account("DELETE", `/account/consents/${encodeURIComponent(clientID)}`);
  const changePassword = ({ currentPassword, newPassword }) =>
    account("POST", "/account/password", { current_password: currentPassword, new_password: newPassword, ui_locales: uiLocales });
  const changeEmail = ({ email, currentPassword }) =>
    account("POST", "/account/email", { email, current_password: currentPassword, ui_locales: uiLocales });
  const exportData = () => account("GET", "/account/export");
  const deleteAccount = async ({ currentPassword } = {}) => {
    await account("DELETE", "/account", { current_password: currentPassword });
    become(null, "signed_out");
  };

  // The account, for users who aren't signed in
  const forgotPassword = ({ email, username }) =>
    send("POST", "/account/password/forgot", { json: { email, username, ui_locales: uiLocales } }).then(read);
  const resetPassword = async ({ token, newPassword }) => {
    await send("POST", "/account/password/reset", { json: { token, new_password: newPassword, ui_locales: uiLocales } }).then(read);
    if (session) uncertain = true; // all sessions of the account have ended, and this may be one of them
  };
  const verifyEmail = async ({ token }) => {
    await send("POST", "/account/email/verify", { json: { token, ui_locales: uiLocales } }).then(read);
    if (session) uncertain = true; // it may be the address of the user who is signed in here
  };
  const resendVerification = ({ email, username }) => send("POST", "/account/email/resend", { json: { email, username, ui_locales: uiLocales } }).then(read);

  // Sends one request to the server.
  async function send(method, path, { json, keepalive, timeout = requestTimeout } = {}) {
    try {
      return await fetch(base + path, {
        method,
        headers: json ? { "Content-Type": "application/json" } : {},
        body: json && JSON.stringify(json),
        credentials: "include",
        cache: "no-store",
        redirect: "error",
        keepalive,
        signal: AbortSignal.timeout(timeout * 1000),
      });
    } catch (err) {
      throw unreachable(err);
    }
  }

  return Object.freeze({
    user,
    onChange,
    signUp,
    signIn,
    answer,
    signInWithPasskey,
    signInWithRedirect,
    completeSignIn,
    signOut,
    fetch: authorizedFetch,
    getAccessToken,
    prove,
    factors,
    beginTOTP,
    confirmTOTP,
    createPasskey,
    renewRecoveryCodes,
    renameFactor,
    removeFactor,
    profile,
    updateProfile,
    sessions,
    endSession,
    endOtherSessions,
    consents,
    withdrawConsent,
    changePassword,
    changeEmail,
    forgotPassword,
    resetPassword,
    verifyEmail,
    resendVerification,
    exportData,
    deleteAccount,
  });
}

// Returns the address of the server that served this module.
function servedFrom() {
  const [, issuer] = /^(https?:.*)\/assets\/countersign\.js$/.exec(import.meta.url.replace(/[?#].*/, "")) ?? [];
  if (!issuer) throw new TypeError("countersign: give the server's url, because this module wasn't loaded from the server");
  return issuer;
}

// Checks that a resource server is an origin, so that no developer believes that a path
// limits where the token goes.
function originOf(resourceServer) {
  const { origin } = new URL(resourceServer);
  if (origin === "null" || origin !== resourceServer.replace(/\/$/, "")) {
    throw new TypeError(`countersign: ${resourceServer} is not an origin, such as https://api.example.com`);
  }
  return origin;
}

// Returns 256 random bits, which no attacker can guess.
const random = () => base64url(crypto.getRandomValues(new Uint8Array(32)));

const base64url = (bytes) => btoa(String.fromCharCode(...new Uint8Array(bytes))).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");

// Returns an object with changes, in which null removes a member and undefined changes none
// (RFC 7396, but for undefined).
function merged(before, changes) {
  if (changes === undefined) return before;
  if (changes === null || typeof changes !== "object" || Array.isArray(changes)) return changes;
  const after = new Map(Object.entries(before ?? {}));
  for (const [name, change] of Object.entries(changes)) after.set(name, merged(after.get(name), change));
  return Object.fromEntries([...after].filter(([, value]) => value !== null));
}

// Sessions and their age

// The answer has no access token if the server sets an access cookie.
function sessionOf(answer, since) {
  if (!answer?.user) throw unreachable(); // another server answered
  return { user: answer.user, accessToken: answer.access_token, expiresIn: answer.expires_in, ...since };
}

// A sleeping computer may stop the monotonic clock, and a user may set the other one. So
// age reads both and believes the later.
const clock = () => ({ date: Date.now(), monotonic: performance.now() });

const age = ({ date, monotonic }) => Math.max(Date.now() - date, performance.now() - monotonic) / 1000;

// Answers and errors

// Returns the JSON of an answer, or throws the error that it describes.
async function read(response) {
  let body;
  try {
    const text = await response.text();
    if (text) body = JSON.parse(text);
  } catch (err) {
    if (response.ok) throw unreachable(err); // cut off, or not our server's
  }
  if (response.ok) return body;
  if (body?.unknown_passkey) globalThis.PublicKeyCredential?.signalUnknownCredential?.(body.unknown_passkey)?.catch(() => {});
  const code = /^urn:countersign:problem:(\w+)$/.exec(body?.type)?.[1] ?? codeOf(response.status);
  throw new CountersignError(code, body?.detail ?? body?.error_description ?? `the server answered ${response.status}`, {
    status: response.status,
    reason: body?.error,
    errors: body?.errors,
    challenge: body?.challenge && { challenge: body.challenge, methods: body.methods, publicKey: body.public_key },
    enrolURL: body?.enrol_url,
    retryAfter: retryAfter(response),
  });
}

// Returns the code of an answer that isn't a problem, perhaps of a proxy before the server.
function codeOf(status) {
  if (status === 429) return "throttled";
  return [502, 503, 504].includes(status) ? "unavailable" : "unexpected";
}

// Returns how many seconds to wait (Retry-After, RFC 9110 section 10.2.3).
function retryAfter(response) {
  const value = response.headers.get("Retry-After");
  if (!value) return undefined;
  const seconds = /^\d+$/.test(value) ? Number(value) : (Date.parse(value) - Date.now()) / 1000;
  return seconds >= 0 ? seconds : undefined;
}

// What the browser says of a passkey, by the names of its exceptions.
const passkeyErrors = { NotAllowedError: "passkey_not_used", InvalidStateError: "passkey_exists", AbortError: "aborted", TimeoutError: "aborted" };

const unsupported = () => new CountersignError("passkeys_unsupported", "this browser, or the server, has no passkeys");
const loginRequired = () => new CountersignError("login_required", "no user is signed in", { status: 401 });
const userChanged = () => new CountersignError("user_changed", "another user has signed in meanwhile");
const unreachable = (cause) => new CountersignError("unreachable", "the server could not be reached", { cause });

// Trying again

const passing = ({ code, status }) => code === "unreachable" || [429, 502, 503, 504].includes(status);

// Repeats work, which must be safe to repeat, until it succeeds, fails permanently, or takes
// longer than retryTimeout.
async function persistently(work) {
  const since = clock();
  for (let attempt = 0; ; attempt++) {
    try {
      return await work();
    } catch (err) {
      const wait = (err.retryAfter ?? 0) + 2 ** attempt * (0.1 + Math.random() * 0.2);
      const offline = globalThis.navigator?.onLine === false;
      if (!passing(err) || offline || age(since) + wait > retryTimeout) throw err;
      await new Promise((resolve) => setTimeout(resolve, wait * 1000));
    }
  }
}
