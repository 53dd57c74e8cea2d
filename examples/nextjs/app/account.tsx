"use client";

import { useCountersign, useUser } from "@countersign/react";
import { usePathname } from "next/navigation";

/** Says who is signed in. */
export function Account() {
  const auth = useCountersign();
  const here = usePathname();
  const { user, loading, error, retry } = useUser();
  if (loading) return <p>Loading…</p>;
  if (user === undefined) return <button onClick={retry}>{error.message}. Try again</button>;
  if (user) return <button onClick={() => auth.signOut()}>Sign out {user.username ?? user.email}</button>;
  // One redirect URI for all pages; the page where the user was is in appState.
  return <button onClick={() => auth.signInWithRedirect({ redirectURI: `${location.origin}/`, appState: here })}>Sign in</button>;
}
