package handlers

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"countersign/accounts"
	"countersign/grants"
	"countersign/input"
	"countersign/limits"
)

// Problem is an error answer of an endpoint outside OAuth (RFC 9457).
type Problem struct {
	Type       string       `json:"type"` // stable: programs tell problems apart by it
	Title      string       `json:"title"`
	Status     int          `json:"status"`
	Detail     string       `json:"detail,omitempty"`
	Errors     []FieldError `json:"errors,omitempty"`
	retryAfter time.Duration
}

// FieldError is what is wrong with one member of the input.
type FieldError struct {
	Field  string `json:"field"`
	Code   string `json:"code"` // stable
	Detail string `json:"detail"`
}

func (p *Problem) Error() string { return p.Title + ": " + p.Detail }

// problemTypes is what every type begins with; its last part says which it is.
const problemTypes = "urn:countersign:problem:"

func problem(status int, kind, title, detail string) *Problem {
	return &Problem{Type: problemTypes + kind, Title: title, Status: status, Detail: detail}
}

// The problems that need no detail of the request.
var (
	errNotFound = problem(http.StatusNotFound, "not_found", "Not found",
		"there is nothing at this path; /.well-known/openid-configuration says what there is")
	errMethod = problem(http.StatusMethodNotAllowed, "method_not_allowed", "Method not allowed",
		"this path takes other methods, see the Allow header")
	errOrigin = problem(http.StatusForbidden, "origin_not_allowed", "Origin not allowed",
		"pages of this origin may not do this; 'countersign cors explain ORIGIN PATH' says why")
	errMediaType = problem(http.StatusUnsupportedMediaType, "unsupported_media_type", "Unsupported media type",
		"Content-Type must be application/json")
	errTooLarge = problem(http.StatusRequestEntityTooLarge, "too_large", "Body too large",
		"the body is larger than 64 KiB")
	errSignupClosed = problem(http.StatusForbidden, "signup_disabled", "Sign-up is closed",
		"accounts are created by the operator here")
	errBadCredentials = problem(http.StatusUnauthorized, "invalid_credentials", "Wrong username or password",
		"the username or the password is wrong")
	errBadCode = problem(http.StatusUnauthorized, "invalid_code", "Bad code",
		"the code is invalid, expired, used, another client's, or doesn't fit code_verifier and redirect_uri")
	errLoginRequired = problem(http.StatusUnauthorized, "login_required", "Sign-in required",
		"nobody is signed in here, or the session has ended: sign in again")
	errNoMail = problem(http.StatusNotFound, "mail_off", "No mail",
		"this server sends no mail; the operator has to set smtp.host")
	errBadToken = invalidInput(FieldError{"token", input.Invalid,
		"token is not one that was mailed, or has been used, or is too old: ask for another mail."})
	errNoSession = problem(http.StatusNotFound, "no_session", "No such session",
		"you have no session with this id; it may have ended by itself")
	errReauthenticate = problem(http.StatusForbidden, "reauthentication_required", "Password required",
		"the sign-in is too long ago for this: send current_password, or sign in again")
	errNoBrowserClient = problem(http.StatusNotFound, "browser_sign_in_off", "Browser sign-in is off",
		"session_cookie.client has to name a first-party client that there is; the operator can mend that")
	errPasswordOff = problem(http.StatusForbidden, "password_sign_in_off", "Sign-in with a password is off",
		"pages may not take passwords here: lead the browser to the authorization endpoint, and send the code that comes back")
	errInternal = problem(http.StatusInternalServerError, "internal", "Internal error",
		"something went wrong on our side")
	errUnavailable = &Problem{
		Type: problemTypes + "unavailable", Title: "Unavailable", Status: http.StatusServiceUnavailable,
		Detail: "the service is not able to answer now, try again shortly", retryAfter: time.Second,
	}
	errBusy = &Problem{
		Type: problemTypes + "overloaded", Title: "Overloaded", Status: http.StatusServiceUnavailable,
		Detail: "too many sign-ins and sign-ups at once, try again shortly", retryAfter: time.Second,
	}
)

// problemOf translates an error into what the caller is told. known is false
// for one that nobody foresaw, which wants logging.
func problemOf(err error, unavailable func(error) bool) (p *Problem, known bool) {
	if p, ok := errors.AsType[*Problem](err); ok {
		return p, true
	}
	if input, ok := errors.AsType[*input.Error](err); ok {
		return inputProblem(input), true
	}
	if wait, ok := errors.AsType[*limits.WaitError](err); ok {
		p := problem(http.StatusTooManyRequests, "throttled", "Too many attempts", "wait before the next attempt")
		p.retryAfter = wait.RetryAfter
		return p, true
	}
	for _, row := range spoken {
		if errors.Is(err, row.when) {
			return row.say, true
		}
	}
	if unavailable(err) {
		return errUnavailable, false
	}
	return errInternal, false
}

// spoken maps what happened to the problem that the caller is told, where the cause
// alone decides.
var spoken = []struct {
	when error
	say  *Problem
}{
	{accounts.ErrBadCredentials, errBadCredentials},
	{accounts.ErrBadToken, errBadToken},
	{accounts.ErrNoMail, errNoMail},
	{grants.ErrBadCode, errBadCode},
	{grants.ErrLoginRequired, errLoginRequired},
	{grants.ErrNoBrowserClient, errNoBrowserClient},
	{grants.ErrPasswordOff, errPasswordOff},
	{limits.ErrBusy, errBusy},
}

// inputProblem tells what is wrong with which member.
func inputProblem(input *input.Error) *Problem {
	p := invalidInput()
	if errors.Is(input, accounts.ErrUsernameTaken) || errors.Is(input, accounts.ErrEmailTaken) {
		p = problem(http.StatusConflict, "taken", "Already taken", "another account has this already, see errors")
	}
	for _, one := range input.Problems {
		p.Errors = append(p.Errors, FieldError(one))
	}
	return p
}

func invalidInput(wrong ...FieldError) *Problem {
	p := problem(http.StatusBadRequest, "invalid_input", "Invalid input", "the body has members that are not acceptable, see errors")
	p.Errors = wrong
	return p
}

// Failures is what endpoints need to report errors that are not the caller's.
type Failures struct {
	Log         *slog.Logger
	Unavailable func(error) bool // the error means that the database is away
}

// handle makes a gin handler of a function that returns an error.
func (f Failures) handle(fn func(*gin.Context) error) gin.HandlerFunc {
	return func(c *gin.Context) {
		if err := fn(c); err != nil {
			f.answer(c, err)
		}
	}
}

func (f Failures) answer(c *gin.Context, err error) {
	p, known := problemOf(err, f.Unavailable)
	if !known {
		f.Log.ErrorContext(c.Request.Context(), "request failed", "request_id", RequestID(c), "route", c.FullPath(), "err", err)
	}
	WriteProblem(c, p)
}

// WriteProblem answers with p and ends the request.
func WriteProblem(c *gin.Context, p *Problem) {
	setRetryAfter(c, p.retryAfter)
	c.Header("Cache-Control", "no-store")
	if p.Status == http.StatusUnauthorized && c.Writer.Header().Get("WWW-Authenticate") == "" {
		c.Header("WWW-Authenticate", `Cookie realm="countersign"`) // RFC 9110 section 15.5.2 asks for one
	}
	c.Set(ErrorKey, strings.TrimPrefix(p.Type, problemTypes))
	writeJSON(c, p.Status, "application/problem+json", p)
	c.Abort()
}

// setRetryAfter says when to come back, in whole seconds rounded up.
func setRetryAfter(c *gin.Context, d time.Duration) {
	if d > 0 {
		c.Header("Retry-After", strconv.FormatInt(int64((d+time.Second-1)/time.Second), 10))
	}
}

func writeJSON(c *gin.Context, status int, contentType string, body any) {
	b, err := json.Marshal(body)
	if err != nil {
		panic(err) // our own types always marshal
	}
	c.Data(status, contentType, append(b, '\n'))
}
