package refusals

import (
	"encoding/json"
	"net/http"
	"time"

	"countersign/factors"
	"countersign/input"
	"countersign/signin"
)

// Problem is an error answer of an endpoint outside OAuth (RFC 9457).
type Problem struct {
	Type           string                       `json:"type"` // stable: programs tell problems apart by it
	Title          string                       `json:"title"`
	Status         int                          `json:"status"`
	Detail         string                       `json:"detail,omitempty"`
	Errors         []input.Problem              `json:"errors,omitempty"`          // what is wrong with members of the body
	Challenge      string                       `json:"challenge,omitempty"`       // of a second factor that is due, see signin.FactorDueError
	Methods        []string                     `json:"methods,omitempty"`         // in which it may be proven
	PublicKey      json.RawMessage              `json:"public_key,omitempty"`      // for a passkey among them: WebAuthn JSON for navigator.credentials.get
	UnknownPasskey *factors.UnknownPasskeyError `json:"unknown_passkey,omitempty"` // there is no such passkey: see there
	EnrolURL       string                       `json:"enrol_url,omitempty"`       // where the user sets up a second factor
	RetryAfter     time.Duration                `json:"-"`                         // 0: not sent
	Reason         string                       `json:"-"`                         // what the operator's metrics count it as; empty: the kind in Type
}

func (p *Problem) Error() string { return p.Title + ": " + p.Detail }

// ProblemTypes is the prefix of every type; the kind follows.
const ProblemTypes = "urn:countersign:problem:"

// NewProblem returns a problem of the given kind.
func NewProblem(status int, kind, title, detail string) *Problem {
	return &Problem{Type: ProblemTypes + kind, Title: title, Status: status, Detail: detail}
}

// InvalidInput returns the problem of a body with invalid members.
func InvalidInput(wrong ...input.Problem) *Problem {
	p := NewProblem(http.StatusBadRequest, "invalid_input", "Invalid input", "the body has invalid members, see errors")
	p.Errors = wrong
	return p
}

// The problems that are used outside the table, too.
var (
	InternalProblem    = NewProblem(http.StatusInternalServerError, "internal", "Internal error", ours)
	UnavailableProblem = later(http.StatusServiceUnavailable, "unavailable", "Unavailable", away)
	// LoginRequiredProblem is also the answer to a caller that sends no access token.
	LoginRequiredProblem = NewProblem(http.StatusUnauthorized, "login_required", "Sign-in required",
		"no user is signed in here, or the session has ended: sign in again")
)

var (
	throttledProblem = NewProblem(http.StatusTooManyRequests, "throttled", "Too many attempts", "wait before the next attempt")
	busyProblem      = later(http.StatusServiceUnavailable, "overloaded", "Overloaded",
		"too many sign-ins and sign-ups at once, try again shortly")
	badCredentialsProblem = NewProblem(http.StatusUnauthorized, "invalid_credentials", "Wrong username or password",
		"the username or the password is wrong")
	notVerifiedProblem = NewProblem(http.StatusForbidden, "email_not_verified", "E-mail address not verified",
		"the password is right, but the user has to confirm the account's address first: /account/email/resend sends the mail again")
	disabledProblem = NewProblem(http.StatusForbidden, "account_disabled", "Account disabled",
		"the password is right, but the operator has disabled the account")
	lastWayInProblem = NewProblem(http.StatusConflict, "last_way_in", "Last way to sign in",
		"you would have no way left to sign in: set up another first, such as a passkey")
	takenProblem     = NewProblem(http.StatusConflict, "taken", "Already taken", "another account already has this, see errors")
	badLetterProblem = InvalidInput(input.Problem{Field: "token", Code: input.Invalid,
		Detail: "token is unknown, used or expired: ask for another mail."})
	noMailProblem = NewProblem(http.StatusNotFound, "mail_off", "No mail",
		"this server sends no mail: the operator must set smtp.host")
	badCodeProblem = NewProblem(http.StatusUnauthorized, "invalid_code", "Bad code",
		"the code is invalid, expired, used, another client's, or doesn't match code_verifier and redirect_uri")
	noBrowserClientProblem = NewProblem(http.StatusNotFound, "browser_sign_in_off", "Browser sign-in is off",
		"session_cookie.client names no existing first-party client: the operator must set it")
	passwordOffProblem = NewProblem(http.StatusForbidden, "password_sign_in_off", "Sign-in with a password is off",
		"pages may not take passwords here: lead the browser to the authorization endpoint, and send the code that comes back")
	staleProblem = NewProblem(http.StatusForbidden, "reauthentication_required", "Proof required",
		"this change needs a proof made in this session within ten minutes: send current_password, here or to /account/proof")
	factorUnprovenProblem = NewProblem(http.StatusForbidden, "reauthentication_required", "Proof required",
		"this account has a second factor, and this session has not proven one: send code, or challenge and credential, to /account/proof")
	factorDueProblem = NewProblem(http.StatusUnauthorized, "second_factor_required", "Second factor required",
		"the password is right, and the account has a second factor: send challenge, with a method and its code or credential, to /session/factor")
	enrolmentDueProblem = NewProblem(http.StatusForbidden, "factor_enrolment_required", "Second factor has to be set up",
		"the password is right, and the user must set up a second factor first: lead the browser to enrol_url")
	unmetProblem = NewProblem(http.StatusForbidden, "unmet_authentication_requirements", "Second factor missing",
		"this application requires a factor of its users that the account has not set up: see /me/factors")
	badChallengeProblem = NewProblem(http.StatusUnauthorized, "invalid_challenge", "Bad challenge",
		"the challenge is unknown, used, expired or another browser's: begin the sign-in again")
	badPasskeyProblem = NewProblem(http.StatusUnauthorized, "invalid_credentials", "Passkey refused",
		"the passkey is unknown here, or its answer is not to this challenge, from a page of ours, and by a verified user")
	noPasskeysProblem = NewProblem(http.StatusNotFound, "passkeys_off", "No passkeys",
		"this server takes no passkeys: the issuer's host is no domain name")
	wrongCodeProblem = NewProblem(http.StatusUnauthorized, "invalid_code", "Wrong code",
		"the code is wrong, or was used before")
	noFactorProblem = NewProblem(http.StatusNotFound, "no_factor", "No such factor",
		"you have no factor with this id, or not in this state")
	notOfferedProblem = NewProblem(http.StatusForbidden, "factor_not_offered", "Factor not offered",
		"the operator lets users set up no factors of this kind: see factors in the configuration")
	factorRequiredProblem = NewProblem(http.StatusConflict, "factor_required", "Second factor required",
		"you must have a second factor, and this is the last: set up another first")
	tooManyFactorsProblem = NewProblem(http.StatusConflict, "too_many_factors", "Too many factors",
		"you have as many factors as an account may have: remove one first")
	noIdentityProblem = NewProblem(http.StatusNotFound, "no_identity", "No such identity",
		"you have no identity with this id")
	noConsentProblem = NewProblem(http.StatusNotFound, "no_consent", "No such consent",
		"you have allowed nothing to an application with this client_id")
)

// EnrolmentDue returns the problem of a sign-in for which the user must set up a second factor
// first, at a page of ours.
func EnrolmentDue(at string) *Problem {
	p := *enrolmentDueProblem
	p.EnrolURL, p.Reason = at, reason(signin.ErrEnrolmentDue)
	return &p
}

// later returns a problem after which the caller may try again in a second.
func later(status int, kind, title, detail string) *Problem {
	p := NewProblem(status, kind, title, detail)
	p.RetryAfter = time.Second
	return p
}
