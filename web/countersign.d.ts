/** Connects to a Countersign server. Call it once in a page. */
export function countersign(options?: Options): Countersign;

export interface Options {
  /** Address of the server (its issuer). Default: the one that served this module from /assets/countersign.js. */
  url?: string;
  /** Origins of the APIs that get the access token, such as https://api.example.com. The server itself needn't be listed. */
  resourceServers?: string[];
  /** Languages of mail, the preferred one first, such as "ko en". Default: those of the browser. */
  uiLocales?: string;
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
   * (no answer, perhaps offline), unavailable, user_changed, unexpected.
   */
  readonly type: string;
  /** HTTP status; 0 without an answer. */
  readonly status: number;
  /** What is wrong with the input, member by member. */
  readonly errors: FieldError[];
  /** Seconds to wait before the next attempt, if the server says so. */
  readonly retryAfter?: number;
}
