// Package refusals has the words for the domain's errors, for every format of answer.
//
// There is one table. A row is an error of the domain, and a column is a kind of
// endpoint: those that answer a client, the redirect to a client, those that take an
// access token, the hosted pages, and all others, which answer with a [Problem]. An
// error without words in a column is the server's fault there: the caller learns no
// more, and the endpoint logs it. For an error in the request itself, such as a missing
// parameter, a package has its own words, an *oauth.Error or a *Problem, which passes
// through unchanged.
//
// Several errors share one wording on purpose: the caller must not learn which it was.
package refusals

import (
	"errors"
	"net/http"
	"time"

	"countersign/accounts"
	"countersign/clients"
	"countersign/consents"
	"countersign/factors"
	"countersign/input"
	"countersign/limits"
	"countersign/oauth"
	"countersign/signin"
	"countersign/tokens"
	"countersign/upstreams"
)

// The errors of OAuth endpoints. Other packages use the exported ones, too.
var (
	// BadCode is the error of an invalid authorization code. The domain returns
	// tokens.ErrUnknown for it, as for a refresh token.
	BadCode = oauth.Refuse(oauth.InvalidGrant, "the code is invalid, expired, used, another client's, or was issued to another redirect_uri")
	// LoginRequired is the error in a redirect if no user is signed in, or another than
	// the request is for.
	LoginRequired = oauth.Refuse(oauth.LoginRequired, "no user is signed in as the request requires")
	// Unavailable is the error while the database is away.
	Unavailable = &oauth.Error{
		Code: oauth.TemporarilyUnavailable, Status: http.StatusServiceUnavailable, Description: away, RetryAfter: time.Second, Reason: "unavailable",
	}
	// ServerError is the error of a fault of ours.
	ServerError = &oauth.Error{Code: oauth.ServerError, Status: http.StatusInternalServerError, Description: ours, Reason: "internal"}

	badCredentials = oauth.Refuse(oauth.InvalidGrant, "the username or the password is wrong")
	badRefresh     = oauth.Refuse(oauth.InvalidGrant, "the refresh token is invalid, expired, revoked or another client's")
	badAccess      = oauth.Refuse(oauth.InvalidToken, "the access token is invalid, expired or revoked")
	throttled      = &oauth.Error{
		Code: oauth.TemporarilyUnavailable, Status: http.StatusTooManyRequests,
		Description: "too many failed attempts, wait before the next",
	}
)

const (
	away = "the service is not able to answer now, try again shortly"
	ours = "something went wrong on our side"
)

// row is an error of the domain, and the answer to it at each kind of endpoint. nil:
// the caller must not learn of it there.
type row struct {
	when      error
	reason    string       // what the operator's metrics count it as; the caller isn't told
	client    *oauth.Error // token, revocation and introspection endpoints (RFC 6749 section 5.2)
	challenge *oauth.Error // authorization challenge endpoint; nil: as client
	redirect  *oauth.Error // authorization endpoint (RFC 6749 section 4.1.2.1)
	bearer    *oauth.Error // endpoints that take an access token (RFC 6750 section 3.1)
	page      *Trouble     // hosted pages
	problem   *Problem     // all others (RFC 9457)
}

// Trouble is what a hosted page says about an error that the user can correct.
type Trouble struct {
	Word       string // of package pages
	Status     int
	RetryAfter time.Duration // 0: not said
	Reason     string        // as in Problem
}

// table has every error of the domain that callers are told. The test lists all others,
// each with the reason. If an error matches several rows, it has the words of the first and
// the reason of the last.
var table = []row{
	{
		when:    limits.ErrThrottled, // sent with the wait of the *limits.WaitError
		reason:  "throttled",
		client:  throttled,
		page:    &Trouble{Word: "throttled", Status: http.StatusTooManyRequests},
		problem: throttledProblem,
	},
	{
		when:    limits.ErrBusy,
		reason:  "busy",
		client:  oauth.Later("too many sign-ins at once, try again shortly", time.Second),
		page:    &Trouble{Word: "busy", Status: http.StatusServiceUnavailable, RetryAfter: time.Second},
		problem: busyProblem,
	},

	{when: clients.ErrBadCredentials, reason: "bad_client_credentials", client: oauth.Refuse(oauth.InvalidClient, "client authentication failed")},

	{
		when:      accounts.ErrBadCredentials,
		reason:    "bad_credentials",
		client:    badCredentials,
		challenge: oauth.Refuse(oauth.AccessDenied, badCredentials.Description),
		page:      &Trouble{Word: "invalid_credentials", Status: http.StatusBadRequest},
		problem:   badCredentialsProblem,
	},
	{
		when:      accounts.ErrNotVerified,
		reason:    "email_not_verified",
		client:    oauth.Refuse(oauth.InvalidGrant, "the e-mail address of the account is not verified: the user has to follow the link in the mail"),
		challenge: oauth.Refuse(oauth.RedirectToWeb, "the e-mail address of the account is not verified: the hosted pages send the user the link once more"),
		page:      &Trouble{Word: "email_not_verified", Status: http.StatusForbidden},
		problem:   notVerifiedProblem,
	},
	{
		when:      accounts.ErrDisabled,
		reason:    "account_disabled",
		client:    oauth.Refuse(oauth.InvalidGrant, "the account is disabled"),
		challenge: oauth.Refuse(oauth.AccessDenied, "the account is disabled"),
		page:      &Trouble{Word: "account_disabled", Status: http.StatusForbidden},
		problem:   disabledProblem,
	},
	{
		when:    accounts.ErrLastWayIn,
		reason:  "last_way_in",
		page:    &Trouble{Word: "last_way_in", Status: http.StatusConflict},
		problem: lastWayInProblem,
	},
	{when: accounts.ErrUsernameTaken, reason: "username_taken", problem: takenProblem},
	{when: accounts.ErrEmailTaken, reason: "email_taken", problem: takenProblem},
	{
		when:    accounts.ErrBadToken,
		reason:  "bad_letter",
		page:    &Trouble{Word: "bad_token", Status: http.StatusBadRequest},
		problem: badLetterProblem,
	},
	{when: accounts.ErrNoMail, reason: "mail_off", problem: noMailProblem},
	{when: accounts.ErrSignedOut, reason: "signed_out", bearer: badAccess},
	{when: accounts.ErrUnknownUser, reason: "unknown_user", bearer: badAccess},

	{when: signin.ErrLoginRequired, reason: "login_required", problem: LoginRequiredProblem},
	{when: signin.ErrBadCode, reason: "bad_code", problem: badCodeProblem},
	{when: signin.ErrNoBrowserClient, reason: "browser_sign_in_off", problem: noBrowserClientProblem},
	{when: signin.ErrPasswordOff, reason: "password_sign_in_off", problem: passwordOffProblem},
	{
		when:    signin.ErrFactorDue, // sent with what the *signin.FactorDueError has
		reason:  "second_factor_required",
		client:  oauth.Refuse(oauth.InsufficientAuthorization, "the account has a second factor: send auth_session and a code as otp to the authorization challenge endpoint, or lead the user to the authorization endpoint"),
		problem: factorDueProblem,
	},
	{
		when:    signin.ErrEnrolmentDue, // sent with where, see EnrolmentDue
		reason:  "factor_enrolment_required",
		client:  oauth.Refuse(oauth.RedirectToWeb, "the user must set up a second factor: lead the user to the authorization endpoint"),
		problem: enrolmentDueProblem,
	},
	{
		when:    signin.ErrUnmet,
		reason:  "acr_unmet",
		client:  oauth.Refuse(oauth.UnmetAuthentication, "the client requires a factor of its users that this user has not set up"),
		problem: unmetProblem,
	},
	{
		when:      signin.ErrBadChallenge,
		reason:    "bad_challenge",
		challenge: oauth.Refuse(oauth.InvalidSession, "the auth_session is unknown, used, expired or another client's: begin with username and password"),
		page:      &Trouble{Word: "bad_challenge", Status: http.StatusBadRequest},
		problem:   badChallengeProblem,
	},
	{
		when:    factors.ErrBadCode,
		reason:  "wrong_code",
		client:  oauth.Refuse(oauth.InsufficientAuthorization, "the code is wrong or used: send auth_session and another as otp"),
		page:    &Trouble{Word: "wrong_code", Status: http.StatusBadRequest},
		problem: wrongCodeProblem,
	},
	{
		when:    factors.ErrBadPasskey, // as a second factor it is an ErrBadCode
		reason:  "bad_passkey",
		page:    &Trouble{Word: "bad_passkey", Status: http.StatusBadRequest},
		problem: badPasskeyProblem,
	},
	{
		when:    factors.ErrNoPasskeys,
		reason:  "passkeys_off",
		page:    &Trouble{Word: "bad_passkey", Status: http.StatusBadRequest},
		problem: noPasskeysProblem,
	},
	{when: factors.ErrUnknown, reason: "no_factor", problem: noFactorProblem},
	{
		when:    factors.ErrNotOffered,
		reason:  "factor_not_offered",
		page:    &Trouble{Word: "factor_not_offered", Status: http.StatusForbidden},
		problem: notOfferedProblem,
	},
	{
		when:    factors.ErrRequired,
		reason:  "factor_required",
		page:    &Trouble{Word: "factor_required", Status: http.StatusConflict},
		problem: factorRequiredProblem,
	},
	{
		when:    factors.ErrTooMany,
		reason:  "too_many_factors",
		page:    &Trouble{Word: "too_many_factors", Status: http.StatusConflict},
		problem: tooManyFactorsProblem,
	},
	{when: factors.ErrSignedOut, reason: "signed_out", bearer: badAccess},

	{when: accounts.ErrUnknownIdentity, reason: "no_identity", problem: noIdentityProblem},
	{when: accounts.ErrIdentityTaken, reason: "identity_taken", page: &Trouble{Word: "identity_taken", Status: http.StatusConflict}},
	{when: accounts.ErrTooManyIdentities, reason: "too_many_identities", page: &Trouble{Word: "too_many_identities", Status: http.StatusConflict}},
	{when: signin.ErrNotLinked, reason: "not_linked", page: &Trouble{Word: "not_linked", Status: http.StatusForbidden}},
	{when: upstreams.ErrState, reason: "provider_state", page: &Trouble{Word: "provider_state", Status: http.StatusBadRequest}},
	{when: upstreams.ErrNotAnew, reason: "provider_not_anew", page: &Trouble{Word: "provider_not_anew", Status: http.StatusForbidden}}, // before ErrDenied, which it is
	{when: upstreams.ErrDenied, reason: "provider_denied", page: &Trouble{Word: "provider_denied", Status: http.StatusForbidden}},
	{when: upstreams.ErrAnswer, reason: "provider_answer", page: &Trouble{Word: "provider_answer", Status: http.StatusBadGateway}},
	{when: upstreams.ErrAway, reason: "provider_away", page: &Trouble{Word: "provider_away", Status: http.StatusServiceUnavailable}},

	{when: signin.ErrStale, reason: "reauthentication_required", problem: staleProblem},
	{when: signin.ErrFactorUnproven, reason: "factor_unproven", page: &Trouble{Word: "sign_in_again", Status: http.StatusForbidden}, problem: factorUnprovenProblem},

	{when: consents.ErrUnknown, reason: "no_consent", problem: noConsentProblem},
	{when: consents.ErrGone, reason: "consent_gone", redirect: LoginRequired},

	{when: tokens.ErrUnknown, reason: "unknown_token", client: badRefresh, redirect: LoginRequired, bearer: badAccess},
	{when: tokens.ErrReused, reason: "reused", client: badRefresh},
	{when: tokens.ErrNoConsent, reason: "consent_withdrawn", client: oauth.Refuse(oauth.InvalidGrant, "the user has not allowed the client this: ask again at the authorization endpoint")},
	{when: tokens.ErrUserGone, reason: "user_gone", client: badCredentials},
	{when: tokens.ErrCodeUsed, reason: "code_reused", client: BadCode},
	{when: tokens.ErrNoRedirectURI, reason: "no_redirect_uri", client: oauth.Refuse(oauth.InvalidRequest, "redirect_uri is missing")},
	{
		when:     tokens.ErrClass,
		reason:   "acr_below",
		client:   oauth.Refuse(oauth.InvalidGrant, "the client requires more of its users than this sign-in has: the user has to sign in again"),
		redirect: oauth.Refuse(oauth.UnmetAuthentication, "the client requires more of its users than this sign-in has"),
	},
	{when: tokens.ErrVerifier, reason: "bad_verifier", client: oauth.Refuse(oauth.InvalidGrant, "code_verifier does not match the code_challenge of the authorization request")},
	{when: tokens.ErrNotYours, reason: "other_clients_token", client: oauth.Refuse(oauth.InvalidGrant, "the token was issued to another client")},
	{when: tokens.ErrNoSession, reason: "no_session", client: oauth.Refuse(oauth.UnsupportedTokenType, "a client's own access token can't be revoked, it expires soon")},
	{
		when:     tokens.ErrScope,
		reason:   "scope",
		client:   oauth.Refuse(oauth.InvalidScope, "scope is more than the client or the refresh token may have"),
		redirect: oauth.Refuse(oauth.InvalidScope, "scope is more than the client may have"),
	},
	{
		when:   tokens.ErrAccountScope,
		reason: "account_scope",
		client: oauth.Refuse(oauth.InvalidScope, "the scope account needs a request that names it, and resource to be the issuer alone where the token would be for others"),
	},
	{
		when:     tokens.ErrTarget,
		reason:   "target",
		client:   oauth.Refuse(oauth.InvalidTarget, "resource is none of the client's audiences, or was not granted"),
		redirect: oauth.Refuse(oauth.InvalidTarget, "resource is none of the client's audiences"),
	},
}

// Reasons returns the reasons of all rows, and those of faults of ours, for metrics.
func Reasons() []string {
	all := []string{Unavailable.Reason, ServerError.Reason}
	for i := range table {
		all = append(all, table[i].reason)
	}
	return all
}

// reason returns the word by which metrics count an error, or the empty text. Of several rows
// the last counts, as table says.
func reason(err error) string {
	for i := len(table) - 1; i >= 0; i-- {
		if errors.Is(err, table[i].when) {
			return table[i].reason
		}
	}
	return ""
}

// words returns a column's entry for an error, or nil.
func words[T any](err error, column func(*row) *T) *T {
	for i := range table {
		if say := column(&table[i]); say != nil && errors.Is(err, table[i].when) {
			return say
		}
	}
	return nil
}

// ForClient returns the error that the token, revocation and introspection endpoints
// send to a client. known is false for an error that is the server's, which the caller
// of ForClient logs; unavailable reports whether an error means that the database is
// away.
func ForClient(err error, unavailable func(error) bool) (say *oauth.Error, known bool) {
	return spoken(err, func(r *row) *oauth.Error { return r.client }, unavailable)
}

// AtChallenge returns the error that the authorization challenge endpoint sends to a client,
// where it has words of its own, or else err, for ForClient.
func AtChallenge(err error) error {
	say := words(err, func(r *row) *oauth.Error { return r.challenge })
	if say == nil {
		return err
	}
	told := *say
	told.Reason = reason(err)
	return &told
}

// ForBearer returns the error that an endpoint that takes an access token sends to the
// caller. For known and unavailable see [ForClient].
func ForBearer(err error, unavailable func(error) bool) (say *oauth.Error, known bool) {
	return spoken(err, func(r *row) *oauth.Error { return r.bearer }, unavailable)
}

// InRedirect returns the error that the authorization endpoint sends to the client
// through the browser. ok is false for an error that the client must not learn: the
// user sees a page.
func InRedirect(err error) (say *oauth.Error, ok bool) {
	if say, ok := errors.AsType[*oauth.Error](err); ok {
		return say, true
	}
	say = words(err, func(r *row) *oauth.Error { return r.redirect })
	return say, say != nil
}

func spoken(err error, column func(*row) *oauth.Error, unavailable func(error) bool) (say *oauth.Error, known bool) {
	if say, ok := errors.AsType[*oauth.Error](err); ok {
		return say, true
	}
	if say := words(err, column); say != nil {
		told := *say
		told.RetryAfter, told.Reason = wait(err, say.RetryAfter), reason(err)
		return &told, true
	}
	if unavailable(err) {
		return Unavailable, false
	}
	return ServerError, false
}

// wait returns how long a caller must wait: as a *limits.WaitError says, or else
// otherwise.
func wait(err error, otherwise time.Duration) time.Duration {
	if w, ok := errors.AsType[*limits.WaitError](err); ok {
		return w.RetryAfter
	}
	return otherwise
}

// OnPage returns what a hosted page says about an error. ok is false for an error that
// the user can't correct.
func OnPage(err error) (say Trouble, ok bool) {
	trouble := words(err, func(r *row) *Trouble { return r.page })
	if trouble == nil {
		return Trouble{}, false
	}
	say = *trouble
	say.RetryAfter, say.Reason = wait(err, say.RetryAfter), reason(err)
	return say, true
}

// AsProblem returns the problem that an endpoint outside OAuth sends to its caller. For
// known and unavailable see [ForClient].
func AsProblem(err error, unavailable func(error) bool) (say *Problem, known bool) {
	if say, ok := errors.AsType[*Problem](err); ok {
		return say, true
	}
	say = words(err, func(r *row) *Problem { return r.problem })
	wrong, isInput := errors.AsType[*input.Error](err)
	switch {
	case say != nil:
		told := *say
		told.RetryAfter, told.Reason = wait(err, say.RetryAfter), reason(err)
		if due, ok := errors.AsType[*signin.FactorDueError](err); ok {
			told.Challenge, told.PublicKey = due.Challenge, due.Passkey
			for _, by := range due.Methods {
				told.Methods = append(told.Methods, string(by))
			}
		}
		told.UnknownPasskey, _ = errors.AsType[*factors.UnknownPasskeyError](err)
		if isInput {
			told.Errors = wrong.Problems
		}
		return &told, true
	case isInput:
		return InvalidInput(wrong.Problems...), true
	case unavailable(err):
		return UnavailableProblem, false
	default:
		return InternalProblem, false
	}
}
