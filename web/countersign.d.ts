/** Connects to a Countersign server. Call it once in a page. */
export function countersign(options?: Options): Countersign;

export interface Options {
  /** Address of the server (its issuer). Default: the one that served this module from /assets/countersign.js. */
  url?: string;
  /** Origins of the APIs that get the access token, such as https://api.example.com. The server itself needn't be listed. */
  resourceServers?: string[];
  /** Languages of mail, the preferred one first, such as "ko en". Default: those of the browser. */
  uiLocales?: string;
  /** The client that the page is, for signInWithRedirect: the server's session_cookie.client. Default: "spa". */
  clientID?: string;
  /** What signInWithRedirect asks for, such as "openid profile". Default: all that the client may have, less offline_access. */
  scope?: string;
}

/** An account, as the server describes it. */
export interface User {
  id: string;
  username: string;
  email?: string;
  email_verified: boolean;
  roles: string[];
  disabled: boolean;
  /** RFC 3339. */
  created_at: string;
}

/** One sign-in of the account, in this browser or elsewhere. Times are RFC 3339. */
export interface Session {
  id: string;
  user_id: string;
  client_id: string;
  scope: string;
  created_at: string;
  last_used_at: string;
  expires_at: string;
  device: string;
  /** Whether it is the caller's own. */
  current: boolean;
}

export interface Change {
  /**
   * What happened, in this tab or in another one:
   * - signed_in: somebody signed in, perhaps somebody else than before
   * - updated: something about the same user has changed
   * - signed_out: by signOut or deleteAccount
   * - expired: the session has ended, or was ended elsewhere
   */
  reason: "signed_in" | "updated" | "signed_out" | "expired";
  /** Who is signed in now. */
  user: User | null;
}

export interface RedirectOptions {
  /** Where the browser comes back, as registered with the client. Default: this page, without query and fragment. */
  redirectURI?: string;
  /** The username to fill in. */
  loginHint?: string;
  /**
   * none: show nothing, and fail with login_required if somebody would have to sign in;
   * login: ask for the password in any case; select_account: ask who one is; create:
   * begin with creating an account; consent: ask whether the page may have what it asks for.
   */
  prompt?: "none" | "login" | "select_account" | "create" | "consent" | (string & {});
  /** Languages of the page, the preferred one first. Default: the option of countersign. */
  uiLocales?: string;
  /** What completeSignIn returns, such as where one was. Kept as JSON in this tab's sessionStorage: no secrets. */
  appState?: unknown;
}

/**
 * Every method rejects with a {@link CountersignError}, except that fetch also
 * rejects as the global fetch does.
 */
export interface Countersign {
  /**
   * Who is signed in, or null. The first call asks the server, later ones answer at once.
   * It rejects if the server can't be asked: then nobody knows, and a later call asks again.
   */
  user(): Promise<User | null>;
  /** Calls the listener at every change, but not for whom the first user() finds. Returns a function that ends it. */
  onChange(listener: (change: Change) => void): () => void;

  /** Creates an account. It doesn't sign in. */
  signUp(account: { username: string; password: string; email?: string }): Promise<User>;
  signIn(credentials: { username: string; password: string }): Promise<User>;
  /**
   * Leads the browser to the server's page, where people sign in, or are signed in
   * already. It resolves when the browser is on its way.
   */
  signInWithRedirect(options?: RedirectOptions): Promise<void>;
  /**
   * Completes signInWithRedirect when the browser is back: call it when a page starts,
   * before user(). It takes the answer out of the address. Returns null if there is no
   * answer, or one that has been used in a tab where somebody is signed in. It rejects
   * with sign_in_refused, and why in code; with unknown_state if this tab didn't ask;
   * with invalid_code if it took too long: in all these cases one may begin again.
   */
  completeSignIn(url?: string | URL): Promise<{ user: User; appState?: unknown } | null>;
  /** Ends the session. When it rejects, the session goes on. */
  signOut(): Promise<void>;

  /**
   * The global fetch, with the access token for requests to the server and to the
   * resource servers, and to no others. Refreshes it when it is about to expire,
   * and once when it is refused (401), and then sends the request again. If nobody
   * is signed in, the request goes without a token. If the session turns out to have
   * ended, it rejects with login_required; if somebody else has signed in
   * meanwhile, with user_changed.
   */
  fetch(input: RequestInfo | URL, init?: RequestInit): Promise<Response>;

  sessions(): Promise<Session[]>;
  endSession(id: string): Promise<void>;
  endOtherSessions(): Promise<void>;
  /** Ends all other sessions, too. */
  changePassword(passwords: { currentPassword: string; newPassword: string }): Promise<void>;
  /** Mails a link to the new address, which counts once verifyEmail had its token. */
  changeEmail(change: { email: string; currentPassword?: string }): Promise<void>;
  exportData(): Promise<unknown>;
  /** Without a password it rejects with reauthentication_required, unless the sign-in was just now. */
  deleteAccount(confirmation?: { currentPassword?: string }): Promise<void>;

  /** Mails a link, if there is such an account; it resolves in any case. */
  forgotPassword(account: { email: string } | { username: string }): Promise<void>;
  /** Sets a new password with the token from the mail. */
  resetPassword(reset: { token: string; newPassword: string }): Promise<void>;
  /** Confirms the address with the token from the mail. */
  verifyEmail(verification: { token: string }): Promise<void>;
  /** Mails the link again, if it is of any use; it resolves in any case. */
  resendVerification(account: { email: string } | { username: string }): Promise<void>;
}

/** What is wrong with one member of the input. */
export interface FieldError {
  /** As the server names it, such as current_password. */
  field: string;
  /** Stable, such as too_short. */
  code: string;
  detail: string;
}

export class CountersignError extends Error {
  /**
   * Which problem it is: the last part of the server's problem type, such as invalid_input,
   * taken, invalid_credentials, throttled or login_required; or one of ours: unreachable
   * (no answer, perhaps offline), unavailable, user_changed, unexpected; and of
   * completeSignIn: sign_in_refused, unknown_state, wrong_issuer.
   */
  readonly type: string;
  /** Of sign_in_refused, why: the error of OAuth or OpenID Connect, such as access_denied or login_required. */
  readonly code?: string;
  /** HTTP status; 0 without an answer. */
  readonly status: number;
  /** What is wrong with the input, member by member. */
  readonly errors: FieldError[];
  /** Seconds to wait before the next attempt, if the server says so. */
  readonly retryAfter?: number;
}
