"use client";
// Countersign in React: one connection for all components, and hooks that follow it.
//
//   <CountersignProvider url="https://auth.example.com"> ... </CountersignProvider>
//   const { user, loading } = useUser();
//
// On a server there is no connection, and what is rendered there says "loading". So does
// a page's first rendering, which must be the same.

import { createContext, createElement, useContext, useEffect, useRef, useSyncExternalStore } from "react";
import { countersign } from "@countersign/browser";

const Context = createContext(undefined);

/** Connects the components below it to a Countersign server. */
export function CountersignProvider({ children, onSignIn, url, resourceServers, uiLocales, clientID, scope }) {
  const store = connect({ url, resourceServers, uiLocales, clientID, scope });
  const handler = useRef(onSignIn);
  useEffect(() => {
    handler.current = onSignIn;
  });
  useEffect(() => {
    let mounted = true;
    store.start().then(() => {
      const answer = mounted && handler.current && store.takeAnswer(); // once, though StrictMode starts twice
      if (answer) handler.current(answer);
    });
    return () => {
      mounted = false;
    };
  }, [store]);
  return createElement(Context.Provider, { value: store }, children);
}

/** Returns the user who is signed in, and renders again when that changes, in any tab. */
export function useUser() {
  const store = useStore();
  return useSyncExternalStore(store.users.subscribe, store.users.value, store.unknown);
}

/** Returns the access token, or null, and renders again when there is another one. */
export function useAccessToken() {
  const store = useStore();
  return useSyncExternalStore(store.tokens.subscribe, store.tokens.value, noToken);
}

const noToken = () => null;

/** Returns the connection, for effects and event handlers. */
export function useCountersign() {
  return useStore().auth;
}

function useStore() {
  const store = useContext(Context);
  if (!store) throw new Error("countersign: this component must be below a <CountersignProvider>");
  return store;
}

// The stores of this page. A component may mount many times, and two may have the same
// options, but a page has one connection for them: two would not share their access token.
const stores = new Map();

function connect(options) {
  if (typeof window === "undefined") return absent;
  const key = JSON.stringify(options);
  if (!stores.has(key)) stores.set(key, open(options));
  return stores.get(key);
}

// What there is on a server.
const absent = (() => {
  const away = () => Promise.reject(new Error("countersign: call it in a browser, from an effect or an event handler"));
  const unknown = { user: undefined, loading: true, error: undefined, retry: away };
  const auth = new Proxy({}, { get: (_, name) => (typeof name === "string" && name !== "then" ? away : undefined) });
  return { auth, users: value(unknown), tokens: value(null), unknown: () => unknown };
})();

function open(options) {
  const auth = countersign(options);
  const unknown = { user: undefined, loading: true, error: undefined, retry };
  const users = value(unknown);
  const tokens = value(null, follow);
  let started;
  let answer;

  auth.onChange(({ user }) => know(user));
  addEventListener("online", () => users.value().error && users.value().user === undefined && ask());

  function know(user, error) {
    const now = users.value();
    if (now.user?.id !== user?.id) tokens.set(null); // it was another user's
    if (now.user !== user || now.loading || now.error !== error) users.set({ user, loading: false, error, retry });
    renew();
  }

  // Completes a sign-in, if the browser comes from there, and then finds out which user is
  // signed in.
  const start = () => (started ??= arrive().then(ask));

  async function arrive() {
    const before = location.href;
    const completed = auth.completeSignIn();
    const cleaned = location.href !== before;
    try {
      answer = await completed;
      return undefined;
    } catch (error) {
      return error;
    } finally {
      // Next.js keeps the address too, and would bring the answer back. It learns of a new
      // address only from a state that isn't its own.
      if (cleaned && history.state?.__NA) history.replaceState({ ...history.state, __NA: undefined }, "", location.href);
    }
  }

  async function ask(failure) {
    try {
      know(await auth.user(), failure);
    } catch (error) {
      if (!users.value().user) users.set({ user: undefined, loading: false, error, retry });
      renew();
    }
  }

  function retry() {
    users.set(unknown);
    ask();
  }

  function takeAnswer() {
    const taken = answer;
    answer = undefined;
    return taken;
  }

  // The token, which the module renews when it is asked for shortly before it expires. So
  // this asks often enough while a component uses the token.

  let timer;
  let turns = 0;

  function follow() {
    const shown = () => document.visibilityState === "visible" && renew(); // browsers slow the timers of hidden pages
    document.addEventListener("visibilitychange", shown);
    started?.then(renew);
    return () => {
      document.removeEventListener("visibilitychange", shown);
      clearTimeout(timer);
      turns++;
      tokens.set(null);
    };
  }

  async function renew() {
    if (!tokens.used()) return;
    clearTimeout(timer);
    const turn = ++turns;
    let token = null;
    let reached = false;
    try {
      token = await auth.getAccessToken();
      reached = true;
    } catch {
      // there is none for now
    }
    if (turn !== turns) return;
    timer = setTimeout(renew, pause(token));
    tokens.set(token);
    if (reached && users.value().user === undefined) ask();
  }

  return { auth, users, tokens, unknown: () => unknown, start, takeAnswer };
}

// Returns after how many milliseconds to ask for a token again. The module renews it in the
// last fifth of its life, or the last 30 seconds.
function pause(token) {
  let life = NaN;
  try {
    const { exp, iat } = JSON.parse(atob(token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/")));
    life = exp - iat;
  } catch {
    // there is no token
  }
  return (life > 0 ? Math.min(15, life / 10) : 15) * 1000;
}

// Returns a store for useSyncExternalStore. begin runs when the first component uses it, and
// what it returns when the last one doesn't any more.
function value(now, begin) {
  const listeners = new Set();
  let end;
  return {
    value: () => now,
    used: () => listeners.size > 0,
    set(next) {
      if (Object.is(next, now)) return;
      now = next;
      for (const listener of [...listeners]) listener();
    },
    subscribe(listener) {
      const own = () => listener();
      listeners.add(own);
      if (listeners.size === 1) end = begin?.();
      return () => {
        if (listeners.delete(own) && listeners.size === 0) end?.();
      };
    },
  };
}
