package handlers

import (
	"bytes"
	"cmp"
	"errors"
	"mime"
	"net/http"
	"net/url"
	"time"
	"unicode/utf8"

	"github.com/gin-gonic/gin"

	"countersign/accounts"
	"countersign/authorize"
	"countersign/caller"
	"countersign/ids"
	"countersign/input"
	"countersign/pages"
	"countersign/refusals"
	"countersign/signin"
	"countersign/theme"
	"countersign/tokens"
	"countersign/upstreams"
)

// Hosted is what our own pages share: the browser's login, and how a page is shown.
type Hosted struct {
	Failures
	Authorize     *authorize.Service
	Tokens        *tokens.Service
	Users         *accounts.Users
	SignIns       *signin.Service
	Upstreams     *upstreams.Service
	KnownBrowsers *KnownBrowsers
	// Cookies are those of the pages alone. They are limited to this host, and browsers
	// send them along when another site leads here.
	Cookies *Cookies
	// SameOrigin reports whether a form comes from our own pages.
	SameOrigin func(*http.Request) bool

	ServiceName          string // the name that users see
	Theme                *theme.Theme
	HomeURL              string      // where users go on to who came for nothing in particular; empty: /me
	Base                 string      // path of the issuer
	SignupEnabled        bool        // visitors may sign up
	Mail                 bool        // the server sends mail
	MailFails            func() bool // no mail can be sent at present
	RequireVerifiedEmail bool        // an account needs a verified address
	MinLength            int         // of passwords
	Names                accounts.SignupNames
}

// pageCSP lets a page of ours load its style, script and icon, and nothing else. It has
// no form-action: browsers apply that to the redirects after a form, too, and the last of
// those leads to the client.
const pageCSP = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; frame-ancestors 'none'; base-uri 'none'"

// prepare sets the headers of every page that a browser navigates to. Requests to other
// origins carry no referrer. Requests to our own origin do, because browsers would
// otherwise hide from us where a form comes from.
func (h *Hosted) prepare(c *gin.Context) {
	c.Header("Referrer-Policy", "same-origin")
	c.Header("Content-Security-Policy", pageCSP)
	neverCache(c)
	h.keepLanguage(c)
}

// page makes a gin handler of fn, and answers its errors with a page.
func (h *Hosted) page(fn func(*gin.Context) error) gin.HandlerFunc {
	return func(c *gin.Context) {
		h.prepare(c)
		rememberTo(c, c.Query(toParameter))
		err := fn(c)
		if due, ok := errors.AsType[*signin.FactorDueError](err); ok {
			err = h.askFactor(c, due)
		} else if due, ok := errors.AsType[*signin.EnrolmentDueError](err); ok {
			err = h.askEnrolment(c, due)
		}
		if err != nil {
			h.failPage(c, err)
		}
	}
}

// form makes a gin handler of fn, which gets a form of our own pages.
func (h *Hosted) form(fn func(*gin.Context, url.Values) error) gin.HandlerFunc {
	return h.page(func(c *gin.Context) error {
		if !h.SameOrigin(c.Request) {
			return &pageMessage{http.StatusForbidden, "origin"}
		}
		form, err := readPageForm(c.Request)
		if err != nil {
			return err
		}
		rememberTo(c, form.Get(toParameter))
		return fn(c, form)
	})
}

// pageMessage is an error for which the page has its own words.
type pageMessage struct {
	status  int
	message string
}

func (e *pageMessage) Error() string { return e.message }

var errMalformedForm = &authorize.PageError{Code: "invalid_request", Detail: "the form is malformed"}

// readPageForm reads the form of a page. Each field may occur once.
func readPageForm(r *http.Request) (url.Values, error) {
	if !isForm(r) {
		return nil, errMalformedForm
	}
	body, err := readBody(r)
	if err != nil {
		return nil, errMalformedForm
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, errMalformedForm
	}
	for _, values := range form {
		if len(values) > 1 || !utf8.ValidString(values[0]) {
			return nil, errMalformedForm
		}
	}
	return form, nil
}

// isForm reports whether the body of a request is a form.
func isForm(r *http.Request) bool {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return err == nil && kind == "application/x-www-form-urlencoded"
}

// show answers with a page, which may be part of an authorization request.
func (h *Hosted) show(c *gin.Context, status int, page pages.Name, r *authorize.Request, d pages.Data) error {
	if r != nil {
		d.Ticket, d.Client = h.Authorize.Ticket(r), r.Client().Name
	}
	return h.showIn(c, status, page, locales(r), d)
}

// locales are the languages that an authorization request asks for, empty for none.
func locales(r *authorize.Request) string {
	if r == nil {
		return ""
	}
	return r.UILocales
}

// showIn answers with a page in the language that the reader prefers. locales are what the
// application asks for by ui_locales.
func (h *Hosted) showIn(c *gin.Context, status int, page pages.Name, locales string, d pages.Data) error {
	d.Service, d.Base, d.Home, d.MinLength = h.ServiceName, h.Base, h.HomeURL, h.MinLength
	d.UsernameNeed, d.EmailNeed = string(h.Names.Username), string(h.Names.Email)
	d.MailFails = h.MailFails()
	if d.Ticket == "" {
		d.To = c.GetString(toParameter)
	}
	d.Here, d.Theme, d.Answers = here(c, d.Ticket, d.To), h.Theme, c.Request.Method == http.MethodPost
	preferred := cmp.Or(h.prefers(c, locales), c.GetHeader("Accept-Language"))
	var body bytes.Buffer
	if err := pages.Render(&body, pages.Language(preferred), page, &d); err != nil {
		return err
	}
	c.Data(status, "text/html; charset=utf-8", body.Bytes())
	return nil
}

// failPage answers with the error page.
func (h *Hosted) failPage(c *gin.Context, err error) {
	d, status := pages.Data{}, http.StatusBadRequest
	p, known := refusals.AsProblem(err, h.Unavailable)
	if page, ok := errors.AsType[*authorize.PageError](err); ok {
		d.Message, d.Detail = page.Code, page.Detail
		if isLate(err) {
			d = h.late(c, c.GetString(ticketKey), d)
		}
	} else if m, ok := errors.AsType[*pageMessage](err); ok {
		d.Message, status = m.message, m.status
	} else {
		if !known {
			h.Log.ErrorContext(c.Request.Context(), "request failed", "request_id", RequestID(c), "route", c.FullPath(), "err", err)
		}
		setRetryAfter(c, p.RetryAfter)
		c.Set(RefusalKey, p.Reason)
		d.Message, status = "internal", p.Status
		if p.Status == http.StatusServiceUnavailable || p.Status == http.StatusTooManyRequests {
			d.Message = "unavailable"
		}
		d.Ticket = c.GetString(ticketKey) // the user tries again with the same request
	}
	c.Set(ErrorKey, d.Message)
	if err := h.show(c, status, pages.Message, nil, d); err != nil {
		panic(err) // our templates have words for every error
	}
	c.Abort()
}

// troubles returns what a page says about an error that the user can correct. It
// returns false for other errors.
func (h *Hosted) troubles(c *gin.Context, err error) (d pages.Data, status int, ok bool) {
	if input, ok := errors.AsType[*input.Error](err); ok {
		d.Fields = map[string]string{}
		for _, one := range input.Problems {
			d.Fields[one.Field] = one.Code
		}
		c.Set(RefusalKey, "invalid_input")
		return d, http.StatusBadRequest, true
	}
	say, ok := refusals.OnPage(err)
	if !ok {
		return d, 0, false
	}
	setRetryAfter(c, say.RetryAfter)
	c.Set(ErrorKey, say.Word)
	c.Set(RefusalKey, say.Reason)
	return pages.Data{Errors: []string{say.Word}, Retry: say.RetryAfter}, say.Status, true
}

// signingIn returns the caller of a page that signs users in.
func (h *Hosted) signingIn(c *gin.Context, uiLocales string) caller.Caller {
	return h.KnownBrowsers.signingIn(c, uiLocales, hostedBinding)
}

// proving is signingIn for a sign-in on the way with r, in the browser of a login; both may be
// nil. The browser is not one that is remembered if the request wants more than a password, or
// if the user of the login proves anew who it is for a page of /me: a second factor is asked for.
func (h *Hosted) proving(c *gin.Context, uiLocales string, r *authorize.Request, l *tokens.Login) caller.Caller {
	from := h.signingIn(c, uiLocales)
	if r == nil && l != nil || r != nil && r.WantsMore() {
		from.Remembers = nil
	}
	return from
}

// login returns the login of the browser, nil if no user is signed in.
func (h *Hosted) login(c *gin.Context) (*tokens.Login, error) {
	o, err := h.SignIns.Prove(c.Request.Context(), time.Now(), signin.Remembered(h.Cookies.values(c.Request, loginCookie)), h.KnownBrowsers.caller(c, ""))
	if errors.Is(err, signin.ErrLoginRequired) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	c.Set(SubjectKey, o.User.ID.String())
	return o.Login, nil
}

// enter signs the user of o in to the browser, on the way with r, which may be nil, replacing
// had, which may be nil, and makes the browser keep the login for as long as it lives.
func (h *Hosted) enter(c *gin.Context, r *authorize.Request, o *signin.Outcome, had *tokens.Login) (*tokens.Login, error) {
	l, err := h.SignIns.Enter(c.Request.Context(), time.Now(), o, had, h.caller(c, r))
	if err != nil {
		return nil, err
	}
	c.Set(SubjectKey, l.UserID.String())
	// The browser's cookie has room for one login. Others that it sends are planted.
	if err := h.endLogins(c, l.UserID); err != nil {
		return nil, err
	}
	h.KnownBrowsers.remember(c, &o.User, o.Keep)
	h.Cookies.set(c, loginCookie, h.Tokens.LoginToken(&l), time.Until(l.AbsoluteExpiresAt))
	h.linkKept(c, &l)
	return &l, nil
}

// ticketKey is where a page that fails finds the ticket of its request.
const ticketKey = "ticket"

// request returns the authorization request that a page is part of, nil for none.
func (h *Hosted) request(c *gin.Context, ticket string) (*authorize.Request, error) {
	if ticket == "" {
		return nil, nil
	}
	c.Set(ticketKey, ticket)
	r, err := h.Authorize.Resume(c.Request.Context(), time.Now(), ticket)
	if err == nil {
		logClient(c, r.ClientID)
		r.UILocales = cmp.Or(chosen(c), r.UILocales) // the user's own choice, for the pages that follow
	}
	return r, err
}

// endLogins ends the logins that the browser sends, except those of the user keep.
func (h *Hosted) endLogins(c *gin.Context, keep ids.User) error {
	sent, err := h.Tokens.LoginsOf(c.Request.Context(), time.Now(), h.Cookies.values(c.Request, loginCookie))
	if err != nil {
		return err
	}
	for _, l := range sent {
		if l.UserID != keep {
			if err := h.Tokens.SignOutBrowser(c.Request.Context(), time.Now(), &l, callerOf(c, "")); err != nil {
				return err
			}
		}
	}
	return nil
}

// stepPaths are the pages of the steps that a user takes. The other steps are answers
// to the client.
var stepPaths = map[authorize.Step]string{
	authorize.SignIn:  "/login",
	authorize.SignUp:  "/signup",
	authorize.StepUp:  "/factor",
	authorize.Consent: "/consent",
}

// advance redirects the browser to its next step: another page of ours, or the client
// with its answer. Without a request, it leads to the page of ours that the user came for,
// or else home.
func (h *Hosted) advance(c *gin.Context, r *authorize.Request, l *tokens.Login) error {
	if r == nil {
		if to := c.GetString(toParameter); to != "" {
			return h.redirect(c, h.Base+to)
		}
		return h.redirect(c, h.home())
	}
	j, err := h.Authorize.Judge(c.Request.Context(), r, l)
	if err != nil {
		return err
	}
	return h.follow(c, r, j)
}

// follow redirects the browser to the next step of a request.
func (h *Hosted) follow(c *gin.Context, r *authorize.Request, j authorize.Judgment) error {
	if j.Step() == authorize.StepUp {
		due, err := h.Authorize.StepUp(c.Request.Context(), time.Now(), j, h.signingIn(c, ""))
		if err != nil {
			return err
		}
		if due != nil {
			h.Cookies.set(c, factorCookie, due.Challenge, bindingLife)
		}
	}
	if path, ok := stepPaths[j.Step()]; ok {
		return h.redirect(c, h.Base+path+"?ticket="+h.Authorize.Ticket(r))
	}
	answer, err := h.Authorize.Answer(c.Request.Context(), time.Now(), j)
	if err != nil {
		return err
	}
	return h.respond(c, r, answer)
}

// respond sends the browser to the client with an answer.
func (h *Hosted) respond(c *gin.Context, r *authorize.Request, a authorize.Response) error {
	h.forget(c)
	if a.Error != "" {
		c.Set(ErrorKey, a.Error)
		c.Set(ReasonKey, a.Description)
	}
	if !a.FormPost {
		return h.redirect(c, a.Location())
	}
	d := pages.Data{Action: a.URI}
	for _, v := range a.Values {
		d.Values = append(d.Values, pages.Value(v))
	}
	return h.show(c, http.StatusOK, pages.FormPost, r, d)
}

// redirect sends the browser to another address with a GET, also after a POST: 307
// would send the password along (RFC 9700 section 4.12). It refuses an address that
// proxies would not pass on.
func (h *Hosted) redirect(c *gin.Context, to string) error {
	if len(to) > authorize.MaxLocation {
		return &authorize.PageError{Code: "invalid_request", Detail: "the request is too large for a redirect"}
	}
	c.Header("Location", to) // unchanged: http.Redirect would clean the path
	c.Status(http.StatusSeeOther)
	c.Writer.WriteHeaderNow()
	return nil
}
