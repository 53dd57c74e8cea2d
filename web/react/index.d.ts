import type { Countersign, CountersignError, Options, User } from "@countersign/browser";
import type { ReactElement, ReactNode } from "react";

/** What completeSignIn returns: the user, and the appState of signInWithRedirect. */
export interface Answer {
  user: User;
  appState?: unknown;
}

/** The options of countersign(). Components with the same options share one connection. */
export interface CountersignProviderProps extends Options {
  /** Address of the server (its issuer). */
  url: string;
  /**
   * Called once when the browser comes back from signInWithRedirect and the user is signed
   * in. The answer is no longer in the address by then.
   */
  onSignIn?: (answer: Answer) => void;
  children?: ReactNode;
}

/**
 * Connects the components below it to a Countersign server. When the page starts, it completes
 * signInWithRedirect and finds out which user is signed in. On a server it does nothing.
 */
export function CountersignProvider(props: CountersignProviderProps): ReactElement;

export type UserState = {
  /** Asks the server again which user is signed in. */
  retry: () => void;
} & (
  | { loading: true; user: undefined; error: undefined }
  /** The server couldn't be asked. A user may be signed in. */
  | { loading: false; user: undefined; error: CountersignError }
  /** With error: the sign-in that the browser comes back from has failed. */
  | { loading: false; user: User | null; error: CountersignError | undefined }
);

/** The user who is signed in, or null; undefined while that isn't known. Follows all tabs. */
export function useUser(): UserState;

/**
 * The access token, kept fresh while a component uses it. null while there is none: no user is
 * signed in, the server keeps it in a cookie, or couldn't be asked.
 */
export function useAccessToken(): string | null;

/** The connection. Use it in effects and event handlers: on a server its methods reject. */
export function useCountersign(): Countersign;
