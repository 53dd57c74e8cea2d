// The app's connection to Countersign, and what is known of the user, for all components.

import { countersign } from "@countersign/browser";
import { shallowRef } from "vue";

export const server = "http://localhost:8080";
export const api = "http://localhost:8081";

export const auth = countersign({ url: server, resourceServers: [api] });

/** The user who is signed in, or null; undefined while that isn't known. */
export const user = shallowRef();

/** Why a sign-in has failed, or the user isn't known. */
export const problem = shallowRef();

auth.onChange((change) => {
  user.value = change.user;
  problem.value = undefined;
});

/** Completes a sign-in, if the browser comes from there, and finds out who is signed in. */
export async function start() {
  problem.value = undefined;
  try {
    const back = await auth.completeSignIn();
    if (back) location.hash = back.appState;
  } catch (err) {
    problem.value = err;
  }
  try {
    user.value = await auth.user();
  } catch (err) {
    problem.value = err;
  }
}
