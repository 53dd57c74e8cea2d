// Shows who is signed in, and calls an API in three ways.

import type { User } from "@countersign/browser";
import { useAccessToken, useCountersign, useUser } from "@countersign/react";
import { useEffect, useState } from "react";

import { apiClient } from "./axios";
import { api } from "./config";
import { openLive } from "./live";

export function App() {
  const auth = useCountersign();
  const { user, loading, error, retry } = useUser();
  if (loading) return <p>Loading…</p>;
  if (user === undefined) {
    return (
      <p role="alert">
        The server can't be reached: {error.message}. <button onClick={retry}>Try again</button>
      </p>
    );
  }
  if (user) return <Home user={user} />;
  return (
    <main>
      <h1>Welcome</h1>
      {error && <p role="alert">You are not signed in: {error.message}.</p>}
      <button onClick={() => auth.signInWithRedirect({ appState: location.hash })}>Sign in</button>
    </main>
  );
}

function Home({ user }: { user: User }) {
  const auth = useCountersign();
  const [said, setSaid] = useState("");
  const say = (work: () => Promise<string>) => () => work().then(setSaid, (err: Error) => setSaid(err.message));
  return (
    <main>
      <h1>Hello, {user.username ?? user.email}</h1>
      <p>
        <button onClick={say(async () => (await auth.fetch(`${api}/hello`)).text())}>Call with fetch</button>{" "}
        <button onClick={say(async () => JSON.stringify((await apiClient(auth, api).get("hello")).data))}>Call with axios</button>{" "}
        <button onClick={say(async () => (await auth.signOut(), ""))}>Sign out</button>
      </p>
      <p role="status">{said}</p>
      <Live />
      <Token />
    </main>
  );
}

/** Shows what the API says by itself. */
function Live() {
  const auth = useCountersign();
  const [news, setNews] = useState("none yet");
  useEffect(() => openLive(auth, `${api.replace("http", "ws")}/live`, setNews), [auth]);
  return <p>News: {news}</p>;
}

/** Has a token at hand, for a library that takes one. */
function Token() {
  const token = useAccessToken();
  return <p id="token">{token ? `The access token has ${token.length} characters.` : "No access token."}</p>;
}
