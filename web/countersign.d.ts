/** Connects to a Countersign server. Call it once in a page. */
export function countersign(options?: Options): Countersign;

export interface Options {
  /** Address of the server (its issuer). Default: the server that served this module from /assets/countersign.js. */
  url?: string;
  /** Origins of the APIs that get the access token, such as https://api.example.com. The server itself needn't be listed. */
  resourceServers?: string[];
  /** Languages of mail, the preferred one first, such as "ko en". Default: the browser's. */
  uiLocales?: string;
  /** The client that the page is, for signInWithRedirect: the server's session_cookie.client. Default: "spa". */
  clientID?: string;
  /** Scope that signInWithRedirect asks for, such as "openid profile". Default: all scopes of the client except offline_access. */
  scope?: string;
}

/** An account, as the server describes it. */
export interface User {
  id: string;
  /** Absent if the account has only an e-mail address. */
  username?: string;
  email?: string;
  email_verified: boolean;
  roles: string[];
  disabled: boolean;
  /** RFC 3339. */
  created_at: string;
}

/**
 * What the user says of themselves: the standard claims of OpenID Connect Core section 5.1.
 * The server has proven none of it.
 */
export interface Profile {
  name?: string;
  given_name?: string;
  family_name?: string;
  middle_name?: string;
  nickname?: string;
  /** URL, as the next two. */
  profile?: string;
  picture?: string;
  website?: string;
  gender?: string;
  /** YYYY-MM-DD, YYYY, or 0000-MM-DD without the year. */
  birthdate?: string;
  /** Such as Asia/Seoul. */
  zoneinfo?: string;
  /** Such as ko-KR. */
  locale?: string;
  /** Such as +82 10 1234 5678. */
  phone_number?: string;
  address?: Address;
}

export interface Address {
  formatted?: string;
  street_address?: string;
  locality?: string;
  region?: string;
  postal_code?: string;
  country?: string;
}

/** Changes of an object's members: null removes one. */
export type Changes<T> = { [Name in keyof T]?: (NonNullable<T[Name]> extends object ? Changes<NonNullable<T[Name]>> : T[Name]) | null };

/** What the user lets a third-party application have. Times are RFC 3339. */
export interface Consent {
  client_id: string;
  client_name: string;
  scope: string;
  created_at: string;
  updated_at: string;
}

/** In which ways a second factor is proven. */
export type FactorMethod = "totp" | "passkey" | "recovery_code" | (string & {});

/** What a CountersignError with the code second_factor_required has for answer. */
export interface Challenge {
  challenge: string;
  /** The usual one first. */
  methods: FactorMethod[];
  publicKey?: object;
}

/** What the user proves besides the password, or in its place. Times are RFC 3339. */
export interface Factor {
  id: string;
  kind: "totp" | "passkey" | "recovery_codes" | (string & {});
  name?: string;
  created_at: string;
  last_used_at: string | null;
  /** Of recovery_codes: how many are left. */
  remaining?: number;
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
  /** Whether it is the caller's own session. */
  current: boolean;
}

export interface Change {
  /**
   * What happened, in this tab or in another one:
   * - signed_in: a user signed in, perhaps another one than before
   * - updated: something about the same user has changed
   * - signed_out: signOut or deleteAccount succeeded
   * - expired: the session has expired, or was ended elsewhere
   */
  reason: "signed_in" | "updated" | "signed_out" | "expired";
  /** The user who is signed in now, or null. */
  user: User | null;
}

export interface RedirectOptions {
  /** Where the browser comes back, as registered with the client. Default: this page, without query and fragment. */
  redirectURI?: string;
  /** The username or e-mail address to fill in. */
  loginHint?: string;
  /**
   * none: show no page, and fail with login_required if the user would have to sign in;
   * login: always ask for the password; select_account: ask which account to use; create:
   * begin with creating an account; consent: ask whether the page may have what it asks for.
   */
  prompt?: "none" | "login" | "select_account" | "create" | "consent" | (string & {});
  /** Languages of the page, the preferred one first. Default: the option of countersign. */
  uiLocales?: string;
  /** What completeSignIn returns, such as the view to show. Kept as JSON in this tab's sessionStorage: no secrets. */
  appState?: unknown;
}

/**
 * Every method rejects with a {@link CountersignError}, except that fetch also
 * rejects as the global fetch does.
 */
export interface Countersign {
  /**
   * The user who is signed in, or null. The first call asks the server, later calls answer
   * at once. It rejects if the server doesn't answer; a later call then asks again.
   */
  user(): Promise<User | null>;
  /** Calls the listener at every change, but not for the user that the first user() finds. Returns a function that ends it. */
  onChange(listener: (change: Change) => void): () => void;

  /** Creates an account, with a username, an e-mail address or both, as the server asks for. It doesn't sign in. */
  signUp(account: { username?: string; email?: string; password: string }): Promise<User>;
  /** The username may be the account's e-mail address. */
  signIn(credentials: { username: string; password: string }): Promise<User>;
  /**
   * Goes on with a sign-in that rejected with second_factor_required, whose error has the
   * challenge: with a code of the user's authenticator app, with a recovery code (and its
   * method), or without a code by a passkey. It rejects with invalid_code after a wrong one,
   * and may be called again with the same challenge; with invalid_challenge after five
   * minutes: then sign in again. remember asks for no second factor in this browser for as
   * long as the server allows.
   */
  answer(challenge: Challenge, proof?: { code?: string; method?: FactorMethod; remember?: boolean }): Promise<User>;
  /**
   * Signs in by a passkey alone. With conditional the browser offers passkeys in the input
   * with autocomplete="username webauthn": call it when the page opens; it resolves when the
   * user has chosen one, and rejects with aborted once another passkey is asked for.
   */
  signInWithPasskey(options?: { conditional?: boolean; signal?: AbortSignal }): Promise<User>;
  /**
   * Sends the browser to the server's page, where the user signs in, or is signed in
   * already. It resolves when the browser is on its way.
   */
  signInWithRedirect(options?: RedirectOptions): Promise<void>;
  /**
   * Completes signInWithRedirect when the browser is back: call it when a page starts,
   * before user(). It removes the answer from the address. Returns null if there is no
   * answer, or if the answer is already used and a user is signed in. It rejects with
   * sign_in_refused, and why in reason; with unknown_state if this tab didn't ask;
   * with invalid_code if it took too long. In all these cases the user may begin again.
   */
  completeSignIn(url?: string | URL): Promise<{ user: User; appState?: unknown } | null>;
  /** Ends the session. When it rejects, the session goes on. */
  signOut(): Promise<void>;

  /**
   * The global fetch, with the access token for requests to the server and the resource
   * servers, and to no others. Refreshes the token when it is about to expire; after a
   * 401 refreshes it and sends the request again, once. If no user is signed in, the
   * request goes without a token. Rejects with login_required if the session turns out
   * to have ended, and with user_changed if another user has signed in meanwhile.
   */
  fetch(input: RequestInfo | URL, init?: RequestInit): Promise<Response>;

  /**
   * The access token, for what doesn't use fetch, such as a WebSocket: ask for it at each
   * use, and keep it nowhere. It lives for a while longer; it is null if no user is signed in,
   * or if the server keeps it in a cookie. After a 401 name the token that the API has
   * refused, to get another one. Rejects as fetch does, but not with login_required.
   */
  getAccessToken(options?: { refused?: string }): Promise<string | null>;

  /**
   * Proves who the user is: with the password, a code of the authenticator app, or a passkey.
   * For ten minutes this session may then change the account without the password, until
   * that changes.
   */
  prove(proof: { currentPassword: string } | { code: string } | { passkey: true }): Promise<void>;
  /** What sign-ins ask for besides the password. All changes of them need a proof. */
  factors(): Promise<Factor[]>;
  /** Begins an authenticator app, which is in force once confirmTOTP has a code of it. Show otpauth_uri as a QR code. */
  beginTOTP(options?: { name?: string }): Promise<{ id: string; secret: string; otpauth_uri: string }>;
  /** With the first factor it returns recovery codes, to be shown this once, and signs the user out everywhere else. */
  confirmTOTP(app: { id: string; code: string }): Promise<{ recovery_codes?: string[] }>;
  /**
   * Has the browser make a passkey, and adds it to the account; with the first factor as
   * confirmTOTP does. Call it in the handler of a click. It rejects with
   * reauthentication_required where a proof is due, which for a user with a factor is a code
   * or a passkey, with passkey_exists if this device has one of the account, and with
   * passkey_not_used if the user changes their mind.
   */
  createPasskey(options?: { name?: string }): Promise<Factor & { recovery_codes?: string[] }>;
  /** Makes ten new recovery codes in place of all others. It takes a proof as createPasskey does. */
  renewRecoveryCodes(): Promise<string[]>;
  /** It takes a proof as createPasskey does. */
  renameFactor(change: { id: string; name: string }): Promise<void>;
  /** It takes a proof as createPasskey does. With a passkey all other sessions end. */
  removeFactor(id: string): Promise<void>;
  profile(): Promise<Profile>;
  /** Changes the members that it gets, and no others; null removes one. Returns the profile as stored. */
  updateProfile(changes: Changes<Profile>): Promise<Profile>;
  sessions(): Promise<Session[]>;
  endSession(id: string): Promise<void>;
  endOtherSessions(): Promise<void>;
  /** What the user lets third-party applications have. */
  consents(): Promise<Consent[]>;
  /** Withdraws a consent, and ends the application's sessions. */
  withdrawConsent(clientID: string): Promise<void>;
  /** Ends all other sessions, too. Without a password it rejects with reauthentication_required, unless prove has succeeded. */
  changePassword(passwords: { currentPassword?: string; newPassword: string }): Promise<void>;
  /**
   * Mails a link to the new address, which takes effect once verifyEmail gets its token,
   * and a notice to the present one. Without a password as deleteAccount.
   */
  changeEmail(change: { email: string; currentPassword?: string }): Promise<void>;
  exportData(): Promise<unknown>;
  /** Without a password it rejects with reauthentication_required, unless the user signed in or prove succeeded within ten minutes. */
  deleteAccount(confirmation?: { currentPassword?: string }): Promise<void>;

  /** Mails a link if there is such an account; resolves in any case. */
  forgotPassword(account: { email: string } | { username: string }): Promise<void>;
  /** Sets a new password with the token from the mail. */
  resetPassword(reset: { token: string; newPassword: string }): Promise<void>;
  /** Confirms the address with the token from the mail. */
  verifyEmail(verification: { token: string }): Promise<void>;
  /** Mails the link again if the address is not confirmed; resolves in any case. */
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

/** The name of a problem of the server's. */
export type Problem =
  | "account_disabled"
  | "browser_sign_in_off"
  | "email_not_verified"
  | "factor_enrolment_required"
  | "factor_not_offered"
  | "factor_required"
  | "internal"
  | "invalid_challenge"
  | "invalid_code"
  | "invalid_credentials"
  | "invalid_input"
  | "login_required"
  | "mail_off"
  | "malformed"
  | "method_not_allowed"
  | "no_consent"
  | "no_factor"
  | "no_session"
  | "not_found"
  | "origin_not_allowed"
  | "overloaded"
  | "passkeys_off"
  | "password_sign_in_off"
  | "reauthentication_required"
  | "second_factor_required"
  | "signup_disabled"
  | "taken"
  | "throttled"
  | "too_large"
  | "too_many_factors"
  | "unavailable"
  | "unsupported_media_type";

/**
 * What this module finds out itself: unreachable is no answer, perhaps offline; unexpected
 * an answer that isn't the server's; user_changed another user who has signed in meanwhile;
 * those about passkeys and aborted are the browser's; the others come from completeSignIn.
 */
export type Finding =
  | "unreachable" | "unexpected" | "user_changed" | "sign_in_refused" | "unknown_state" | "wrong_issuer"
  | "passkeys_unsupported" | "passkey_not_used" | "passkey_exists" | "passkey_failed" | "aborted";

export class CountersignError extends Error {
  /** The kind of error. A server that is newer than these types may name others. */
  readonly code: Problem | Finding | (string & {});
  /** With sign_in_refused: the error of OAuth or OpenID Connect, such as access_denied or login_required. */
  readonly reason?: string;
  /** HTTP status; 0 without an answer. */
  readonly status: number;
  /** What is wrong with the input, member by member. */
  readonly errors: FieldError[];
  /** Seconds to wait before the next attempt, if the server says so. */
  readonly retryAfter?: number;
  /** With second_factor_required: for answer. */
  readonly challenge?: Challenge;
  /** With factor_enrolment_required: the server's page where the user signs in and sets up a second factor, to sign in here afterwards. */
  readonly enrolURL?: string;
}
