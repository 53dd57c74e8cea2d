// Uses the module as an application in TypeScript does.

import { countersign, CountersignError, type Change, type Profile, type User } from "@countersign/browser";

const url = "http://localhost:8080";
const auth = countersign({ url, uiLocales: "ko en" });
const seen: Change["reason"][] = [];
auth.onChange(({ reason }) => seen.push(reason));

const codeOf = (err: unknown) => (err instanceof CountersignError ? err.code : String(err));

async function journey(password: string): Promise<string> {
  const nobody: User | null = await auth.user();
  const account = { username: "alice", password };
  await auth.signUp(account);
  const user = await auth.signIn(account);
  const response = await auth.fetch(`${url}/userinfo`);
  const { sub } = (await response.json()) as { sub: string };
  await auth.updateProfile({ name: "Alice", address: { locality: "Seoul", country: "KR" } });
  const profile: Profile = await auth.updateProfile({ name: null, address: { country: null } });
  const token = await auth.getAccessToken();
  const bearer = await fetch(`${url}/userinfo`, { headers: { Authorization: `Bearer ${token}` } });
  const consents = (await auth.consents()).length;
  const absent = await auth.withdrawConsent("no such").catch(codeOf);
  const problem = await auth.signUp(account).catch((err: unknown) => err);
  if (!(problem instanceof CountersignError)) throw problem;
  await auth.signOut();
  return JSON.stringify([
    [nobody, sub === user.id, problem.code, problem.errors[0]?.field, await auth.getAccessToken(), seen],
    [profile, bearer.status, consents, absent],
  ]);
}

declare global {
  interface Window {
    journey: typeof journey;
  }
}
window.journey = journey;
