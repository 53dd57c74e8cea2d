package handlers

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"countersign/input"
	"countersign/refusals"
)

// The problems that handlers find themselves, without the domain.
var (
	errNotFound = refusals.NewProblem(http.StatusNotFound, "not_found", "Not found",
		"this server has nothing at this path: /.well-known/openid-configuration names the endpoints")
	errMethod = refusals.NewProblem(http.StatusMethodNotAllowed, "method_not_allowed", "Method not allowed",
		"this path takes other methods, see the Allow header")
	errOrigin = refusals.NewProblem(http.StatusForbidden, "origin_not_allowed", "Origin not allowed",
		"pages of this origin may not do this; 'countersign cors explain ORIGIN PATH' says why")
	errHost = refusals.NewProblem(http.StatusForbidden, "host_not_allowed", "Host not allowed",
		"this listener answers to IP addresses, localhost and names that no public DNS has; admin_hosts in the configuration adds others")
	errPage = refusals.NewProblem(http.StatusForbidden, "page_not_allowed", "Page not allowed",
		"no page of another site may call this listener")
	errMediaType = refusals.NewProblem(http.StatusUnsupportedMediaType, "unsupported_media_type", "Unsupported media type",
		"Content-Type must be application/json")
	errTooLarge = refusals.NewProblem(http.StatusRequestEntityTooLarge, "too_large", "Body too large",
		"the body is larger than 64 KiB")
	errSignupClosed = refusals.NewProblem(http.StatusForbidden, "signup_disabled", "Sign-up is closed",
		"only the operator creates accounts at this server")
	errWrongCode = refusals.InvalidInput(input.Problem{Field: "code", Code: input.Invalid,
		Detail: "code is not the authenticator app's present code: check the clock of its device."})
	errBadNewPasskey = refusals.InvalidInput(input.Problem{Field: "credential", Code: input.Invalid,
		Detail: "credential is no answer to options of this session of the last five minutes, by a page of ours; or it is a passkey already."})
	errNoSession = refusals.NewProblem(http.StatusNotFound, "no_session", "No such session",
		"you have no session with this id; it may have ended by itself")
)

// Failures is what endpoints need to report errors that the caller didn't cause.
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
	p, known := refusals.AsProblem(err, f.Unavailable)
	if !known {
		f.Log.ErrorContext(c.Request.Context(), "request failed", "request_id", RequestID(c), "route", c.FullPath(), "err", err)
	}
	WriteProblem(c, p)
}

// WriteProblem answers with p and ends the request.
func WriteProblem(c *gin.Context, p *refusals.Problem) {
	setRetryAfter(c, p.RetryAfter)
	c.Writer.Header()["Cache-Control"] = noStore
	if p.Status == http.StatusUnauthorized && c.Writer.Header().Get("WWW-Authenticate") == "" {
		c.Header("WWW-Authenticate", `Cookie realm="countersign"`) // RFC 9110 section 15.5.2 asks for one
	}
	c.Set(ErrorKey, strings.TrimPrefix(p.Type, refusals.ProblemTypes))
	c.Set(RefusalKey, p.Reason)
	if h := pagesFor(c); h != nil {
		h.showProblem(c, p)
	} else {
		writeJSON(c, p.Status, "application/problem+json", p)
	}
	c.Abort()
}

// setRetryAfter tells the caller when to try again, in whole seconds rounded up.
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
	c.Header("Content-Type", contentType)
	c.Status(status)
	c.Writer.Write(append(b, '\n')) // an error is the client's going away
}
