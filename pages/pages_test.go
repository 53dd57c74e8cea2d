package pages_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"countersign/pages"
)

// examples are all pages in all their states.
func examples() []pages.Example {
	all := pages.Examples()
	for i := range all {
		all[i].Data.Service, all[i].Data.Base, all[i].Data.Here = "Acme & Söhne", "/auth", "?language="
	}
	return all
}

var errorCodes = []string{
	"invalid_credentials", "throttled", "busy", "bad_token", "missing_fields", "other_account", "wrong_code", "bad_challenge", "factor_not_offered", "factor_required", "last_way_in", "too_many_factors", "internal",
}

// A page is a rendered page, parsed.
type page struct {
	t    *testing.T
	text string // its HTML
	root *html.Node
}

func render(t *testing.T, language string, name pages.Name, data pages.Data) page {
	t.Helper()
	var out bytes.Buffer
	if err := pages.Render(&out, language, name, &data); err != nil {
		t.Fatal(err)
	}
	root, err := html.Parse(&out)
	if err != nil {
		t.Fatal(err)
	}
	out.Reset()
	if err := pages.Render(&out, language, name, &data); err != nil {
		t.Fatal(err)
	}
	return page{t, out.String(), root}
}

// all returns the elements with a tag ("*": any).
func (p page) all(tag string) []*html.Node {
	var found []*html.Node
	for n := range p.root.Descendants() {
		if n.Type == html.ElementNode && (tag == "*" || n.Data == tag) {
			found = append(found, n)
		}
	}
	return found
}

// find returns the element with an id, or nil.
func (p page) find(id string) *html.Node {
	for _, n := range p.all("*") {
		if get(n, "id") == id {
			return n
		}
	}
	return nil
}

// says returns the text of the element with an id, or "".
func (p page) says(id string) string {
	if n := p.find(id); n != nil {
		return text(n)
	}
	return ""
}

func has(n *html.Node, key string) bool {
	return slices.ContainsFunc(n.Attr, func(a html.Attribute) bool { return a.Key == key })
}

func get(n *html.Node, key string) string {
	for _, a := range n.Attr {
		if a.Key == key {
			return a.Val
		}
	}
	return ""
}

func text(n *html.Node) string {
	var b strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode {
			b.WriteString(d.Data)
		}
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

// Every page is well formed in each language and in every state.
func TestPagesAreWellFormed(t *testing.T) {
	for _, language := range []string{"en", "ko"} {
		for _, e := range examples() {
			t.Run(language+"/"+e.Name, func(t *testing.T) {
				p := render(t, language, e.Page, e.Data)
				if got := get(p.all("html")[0], "lang"); got != language {
					t.Errorf("lang = %q", got)
				}
				if title := text(p.all("title")[0]); !strings.Contains(title, " – Acme & Söhne") || strings.HasPrefix(title, " ") {
					t.Errorf("title = %q", title)
				}
				if h1 := p.all("h1"); len(h1) != 1 || text(h1[0]) == "" {
					t.Errorf("%d h1", len(h1))
				}
				if len(p.all("main")) != 1 {
					t.Error("not one main")
				}
				checkText(p)
				checkIDs(p)
				checkForms(p)
				checkGuards(p)
				checkReferences(p, e.Data)
			})
		}
	}
}

// Back leads to the address of a page that answers a form, with its ticket.
func TestAnswersHaveAnAddress(t *testing.T) {
	p := render(t, "en", pages.Login, pages.Data{Base: "/auth", Answers: true, Ticket: "a.b", Errors: []string{"invalid_credentials"}})
	if s := p.all("script"); len(s) != 2 || get(s[0], "src") != "/auth/assets/answered.js" || get(s[0], "data-here") != "?ticket=a.b" {
		t.Errorf("%s", p.text)
	}
	if p := render(t, "en", pages.FormPost, pages.Data{Answers: true, Action: "https://app.example.com/"}); len(p.all("script")) != 1 {
		t.Errorf("the form of the answer stays in the history: %s", p.text)
	}
}

// A user can go on from every page. Sign-in and consent have their own forms, and the form of
// form_post goes to the application.
func TestPagesLeadOn(t *testing.T) {
	for _, e := range examples() {
		p := render(t, "en", e.Page, e.Data)
		if len(p.all("a")) == 0 && !slices.Contains([]pages.Name{pages.Login, pages.Consent, pages.FormPost}, e.Page) {
			t.Errorf("no way on from %s", e.Name)
		}
		to := map[string]bool{}
		for _, a := range p.all("a") {
			to[get(a, "href")] = true
		}
		if e.Data.App != "" && !to[e.Data.App] || e.Data.Home != "" && e.Data.Ticket == "" && !to[e.Data.Home] {
			t.Errorf("%s leads to %v", e.Name, to)
		}
	}
}

// checkText finds elements without words, and words that are not filled in.
func checkText(p page) {
	for _, tag := range []string{"p", "h1", "h2", "li", "a", "button", "label", "bdi", "code"} {
		for _, n := range p.all(tag) {
			if text(n) == "" {
				p.t.Errorf("an empty %s", tag)
			}
		}
	}
	if body := text(p.all("body")[0]); strings.ContainsAny(body, "{}") || strings.Contains(body, "<no value>") {
		p.t.Errorf("something is not filled in: %s", body)
	}
}

// checkIDs finds ids that occur twice, and references to missing ids.
func checkIDs(p page) {
	seen := map[string]bool{}
	for _, n := range p.all("*") {
		if !has(n, "id") {
			continue
		}
		id := get(n, "id")
		if id == "" || seen[id] {
			p.t.Errorf("id %q is empty or there twice", id)
		}
		seen[id] = true
	}
	for _, n := range p.all("*") {
		for _, key := range []string{"for", "aria-describedby", "aria-labelledby"} {
			for _, id := range strings.Fields(get(n, key)) {
				if !seen[id] {
					p.t.Errorf("%s of %s is for %q, which isn't there", key, n.Data, id)
				}
			}
		}
	}
}

// checkForms finds fields without a label, a name or an autocomplete, and forms that a
// user can't send.
func checkForms(p page) {
	labels := map[string]bool{}
	for _, n := range p.all("label") {
		labels[get(n, "for")] = true
	}
	focused := 0
	for _, n := range append(p.all("input"), p.all("textarea")...) {
		if has(n, "autofocus") {
			focused++
		}
		if get(n, "type") == "hidden" || has(n, "hidden") { // the latter tells password managers the username
			continue
		}
		if id := get(n, "id"); !labels[id] || id != get(n, "name") || get(n, "autocomplete") == "" {
			p.t.Errorf("input %v", n.Attr)
		}
		if get(n, "type") == "password" && has(n, "value") {
			p.t.Error("a password is shown again")
		}
		if has(n, "aria-invalid") && p.says(get(n, "id")+"-wrong") == "" {
			p.t.Errorf("%s is wrong, and nothing says why", get(n, "id"))
		}
	}
	if focused > 1 {
		p.t.Errorf("%d fields want the focus", focused)
	}
	for _, form := range p.all("form") {
		if get(form, "method") != "post" || get(form, "id") == "" {
			p.t.Errorf("form %v", form.Attr)
		}
		var buttons int
		for n := range form.Descendants() {
			if n.Data == "button" {
				buttons++
			}
		}
		if buttons == 0 {
			p.t.Error("a form without a button")
		}
	}
}

// guarded reports whether a button on the page acts only on a deliberate press.
func (p page) guarded() bool {
	return slices.ContainsFunc(p.all("button"), func(n *html.Node) bool { return has(n, "data-deliberate") })
}

// checkGuards finds buttons that act although the user has typed nothing, and that another
// window could have clicked. Denying harms no user, and what Continue sends was decided before.
func checkGuards(p page) {
	for _, form := range p.all("form") {
		typed := false
		for n := range form.Descendants() {
			typed = typed || n.Data == "input" && get(n, "type") != "hidden" && get(n, "type") != "checkbox" && !has(n, "hidden") &&
				get(n, "id") != "token" || // a script may fill that in
				n.Data == "button" && get(n, "id") == "use-passkey" // the device asks the user
		}
		for n := range form.Descendants() {
			if id := get(n, "id"); n.Data == "button" && has(n, "data-deliberate") == (typed || id == "deny" || id == "continue") {
				p.t.Errorf("the button %s: is it guarded? %v", id, has(n, "data-deliberate"))
			}
		}
	}
	if !p.guarded() {
		return
	}
	if p.find("wait") == nil {
		p.t.Error("no text says that a press came too early")
	}
	for _, n := range p.all("script") {
		if n.Parent.Data == "head" && get(n, "src") != "" && !has(n, "defer") && !has(n, "async") {
			return
		}
	}
	p.t.Error("the buttons are there before their guard")
}

// secret reports whether the page has a field for a password.
func (p page) secret() bool {
	return slices.ContainsFunc(p.all("input"), func(n *html.Node) bool { return get(n, "type") == "password" })
}

// checkReferences finds what the content security policy forbids: content from other
// origins, and style and script inside the page.
func checkReferences(p page, data pages.Data) {
	for _, n := range p.all("*") {
		for _, a := range n.Attr {
			if a.Key == "style" || strings.HasPrefix(a.Key, "on") {
				p.t.Errorf("%s has %s", n.Data, a.Key)
			}
			reference := a.Key == "href" || a.Key == "src" || a.Key == "action"
			outside := n.Data == "a" && a.Val != "" && (a.Val == data.Home || a.Val == data.App)
			if reference && !strings.HasPrefix(a.Val, data.Base+"/") && !strings.HasPrefix(a.Val, "?language=") && a.Val != data.Action && !outside {
				p.t.Errorf("%s refers to %q", n.Data, a.Val)
			}
			if a.Key == "href" && n.Data == "a" && data.Ticket != "" && !outside && !strings.HasPrefix(a.Val, "?language=") && a.Val != data.Base+"/me" && !strings.HasSuffix(a.Val, "?ticket="+data.Ticket) {
				p.t.Errorf("the ticket is lost at %q", a.Val)
			}
		}
		if n.Data == "style" || n.Data == "script" && (n.FirstChild != nil || get(n, "src") == "") {
			p.t.Errorf("there is a %s in the page", n.Data)
		}
	}
	// Pages of mailed links need one to find the token, see pages/mailed-link.js, and those
	// with a password one to show it.
	if scripts := len(p.all("script")); (scripts > 0) != (data.Action != "" || p.guarded() || p.find("reset-form") != nil || p.secret() || data.Passkey != nil) {
		p.t.Errorf("%d scripts", scripts)
	}
	for _, form := range p.all("form") {
		tickets := 0
		for n := range form.Descendants() {
			if get(n, "name") == "ticket" && get(n, "value") == data.Ticket {
				tickets++
			}
		}
		if (tickets == 1) != (data.Ticket != "") {
			p.t.Errorf("%d tickets in %s", tickets, get(form, "id"))
		}
	}
}

// Other programs, such as password managers, find forms, fields and buttons by these names.
func TestNamesAreStable(t *testing.T) {
	for _, want := range []struct {
		page         pages.Name
		form, action string
		fields       string // visible ones
		buttons      map[string][2]string
	}{
		{pages.Login, "login-form", "/auth/login", "username password", map[string][2]string{"sign-in": {"Sign in", "로그인"}}},
		{pages.Factor, "factor-form", "/auth/factor", "code", map[string][2]string{"prove": {"Continue", "계속"}}},
		{pages.Signup, "signup-form", "/auth/signup", "username email password", map[string][2]string{"sign-up": {"Sign up", "가입하기"}}},
		{pages.Consent, "consent-form", "/auth/consent", "", map[string][2]string{"allow": {"Allow", "허용"}, "deny": {"Deny", "거부"}}},
		{pages.Logout, "logout-form", "/auth/logout", "", map[string][2]string{"sign-out": {"Sign out", "로그아웃"}}},
		{pages.Forgot, "forgot-form", "/auth/forgot", "email", map[string][2]string{"send-link": {"Send the link", "링크 보내기"}}},
		{pages.Reset, "reset-form", "/auth/reset", "password", map[string][2]string{"set-password": {"Set password", "비밀번호 설정"}}},
		{pages.Verify, "verify-form", "/auth/verify", "", map[string][2]string{"confirm": {"Confirm", "확인"}}},
	} {
		for i, language := range []string{"en", "ko"} {
			p := render(t, language, want.page, pages.Data{Service: "Acme", Base: "/auth", Token: "cs_mt_x", Client: "App", Username: "alice"})
			form := p.find(want.form)
			if form == nil || get(form, "action") != want.action {
				t.Fatalf("%s: no form %q to %q in %s", want.page, want.form, want.action, p.text)
			}
			var names []string
			for n := range form.Descendants() {
				if n.Data == "input" && get(n, "type") != "hidden" {
					names = append(names, get(n, "name"))
				}
			}
			if got := strings.Join(names, " "); got != want.fields {
				t.Errorf("%s has the fields %q", want.page, got)
			}
			for id, label := range want.buttons {
				if got := p.says(id); got != label[i] {
					t.Errorf("%s: button %q reads %q", want.page, id, got)
				}
			}
			if token := strings.Contains(p.text, `name="token" value="cs_mt_x"`); token != (want.page == pages.Reset || want.page == pages.Verify) {
				t.Errorf("%s has a token: %v", want.page, token)
			}
		}
	}
	p := render(t, "en", pages.Consent, pages.Data{Client: "App"})
	for id, value := range map[string]string{"allow": "allow", "deny": "deny"} {
		if b := p.find(id); get(b, "name") != "decision" || get(b, "value") != value {
			t.Errorf("button %q: %v", id, b.Attr)
		}
	}
}

// The Enter key in a field must sign the user in with the field's text, and never continue
// as the user who is signed in.
func TestContinueAsHasItsOwnForm(t *testing.T) {
	p := render(t, "en", pages.Login, pages.Data{SignedIn: "alice", Continue: "cs_am_x", Ticket: "a.b"})
	b := p.find("continue-as")
	if b == nil || get(b, "name") != "continue" || get(b, "value") != "yes" || text(b) != "Continue as alice" {
		t.Fatalf("page = %s", p.text)
	}
	if get(b.Parent, "action") != "/login" || get(b.Parent, "id") == "login-form" {
		t.Errorf("its form is %v", b.Parent.Attr)
	}
}

// A page shows names that users or operators chose as text, never as markup.
func TestNamesAreHarmless(t *testing.T) {
	const evil = `"'><script>alert(1)</script><img src=x onerror=alert(1)>{service}&amp;` + "\u202egnp"
	for _, language := range []string{"en", "ko"} {
		for _, e := range examples() {
			d := e.Data
			clean := render(t, language, e.Page, d)
			for _, field := range []*string{&d.Service, &d.Ticket, &d.Client, &d.Username, &d.Email, &d.SignedIn, &d.Continue, &d.Token, &d.Detail} {
				if *field != "" {
					*field = evil
				}
			}
			d.Scopes, d.Fields, d.Errors = slices.Clone(d.Scopes), map[string]string{}, slices.Clone(d.Errors)
			for i := range d.Scopes {
				d.Scopes[i] = evil
			}
			for name := range e.Data.Fields {
				d.Fields[name] = evil
			}
			for i := range d.Values {
				d.Values[i].Value = evil
			}
			if d.Own != nil {
				own := *d.Own
				if own.Address != "" {
					own.Address = evil
				}
				own.Account = evil
				own.Profile = map[string]string{"name": evil, "address.formatted": evil}
				own.Acts, own.Browsers = slices.Clone(own.Acts), slices.Clone(own.Browsers)
				own.Sessions, own.Apps = slices.Clone(own.Sessions), slices.Clone(own.Apps)
				for i := range own.Acts {
					own.Acts[i].Client, own.Acts[i].Device, own.Acts[i].Address = evil, evil, evil
				}
				for i := range own.Browsers {
					own.Browsers[i].Device = evil
				}
				for i := range own.Sessions {
					own.Sessions[i].Client, own.Sessions[i].Device = evil, evil
				}
				for i := range own.Apps {
					own.Apps[i].Name, own.Apps[i].Scopes = evil, []string{evil}
				}
				d.Own = &own
			}
			p := render(t, language, e.Page, d)
			if got, want := len(p.all("script"))+len(p.all("img")), len(clean.all("script"))+len(clean.all("img")); got != want {
				t.Errorf("%s/%s: %s", language, e.Name, p.text)
			}
			for _, n := range p.all("*") {
				for _, a := range n.Attr {
					if strings.HasPrefix(a.Key, "on") {
						t.Errorf("%s/%s: %s has %s", language, e.Name, n.Data, a.Key)
					}
				}
			}
		}
	}
	// A name can't reverse the words around it.
	p := render(t, "en", pages.Consent, pages.Data{Client: evil, Username: evil, Service: evil})
	for _, n := range p.all("bdi") {
		if text(n) != strings.Join(strings.Fields(evil), " ") {
			t.Errorf("bdi = %q", text(n))
		}
	}
	if got := len(p.all("bdi")); got != 4 {
		t.Errorf("%d names are set apart, want the brand, the client, the service and the user", got)
	}
}

func TestErrorsAreSaid(t *testing.T) {
	for _, language := range []string{"en", "ko"} {
		seen := map[string]bool{}
		for _, code := range errorCodes {
			p := render(t, language, pages.Login, pages.Data{Errors: []string{code}})
			said := p.says("errors")
			if said == "" || seen[said] || strings.Contains(said, "_") || get(p.find("errors"), "role") != "alert" {
				t.Errorf("%s: %q is %q", language, code, said)
			}
			seen[said] = true
		}
		seen = map[string]bool{}
		for _, code := range pages.Messages() {
			p := render(t, language, pages.Message, pages.Data{Message: code, Service: "Acme"})
			if said := p.says("message"); said == "" || seen[said] || strings.Contains(said, "_") {
				t.Errorf("%s: %q is %q", language, code, said)
			}
			seen[p.says("message")] = true
		}
	}
	for _, c := range []struct{ username, email, want string }{
		{"optional", "none", "The username or the password is wrong."},
		{"none", "required", "The e-mail address or the password is wrong."},
		{"required", "optional", "The username, the e-mail address or the password is wrong."},
	} {
		d := pages.Data{UsernameNeed: c.username, EmailNeed: c.email, Errors: []string{"invalid_credentials"}}
		if got := render(t, "en", pages.Login, d).says("errors"); got != c.want {
			t.Errorf("with %s and %s: %q", c.username, c.email, got)
		}
	}
	// For an unknown code the page says that the server is at fault, and not the code.
	if got := render(t, "en", pages.Login, pages.Data{Errors: []string{"surprise"}}).says("errors"); got != "Something went wrong on our side. Try again." {
		t.Errorf("errors = %q", got)
	}
	if got := render(t, "en", pages.Message, pages.Data{Message: "surprise"}).says("message"); got != "The fault is on our side. Please try again later." {
		t.Errorf("message = %q", got)
	}
	if p := render(t, "en", pages.Login, pages.Data{}); p.find("errors") != nil {
		t.Error("there are errors where nothing is wrong")
	}
}

func TestFieldsSayWhatIsWrong(t *testing.T) {
	for _, c := range []struct {
		language, value string
		minLength       int
		want            string
	}{
		{"en", "too_short", 8, "The password must have at least 8 characters."},
		{"ko", "too_short", 8, "비밀번호는 8자 이상이어야 합니다."},
		{"en", "too_short", 0, "This is too short."},
		{"en", "required", 8, "Please enter a password."},
		{"ko", "not_allowed", 8, "사용할 수 없는 값입니다."},
		{"ko", "A sentence of <another package>.", 8, "A sentence of <another package>."},
	} {
		p := render(t, c.language, pages.Signup, pages.Data{MinLength: c.minLength, Fields: map[string]string{"password": c.value}})
		if got := p.says("password-wrong"); got != c.want {
			t.Errorf("%s: %q is %q", c.language, c.value, got)
		}
		in := p.find("password")
		if get(in, "aria-invalid") != "true" || get(in, "aria-describedby") != "password-hint password-wrong" || !has(in, "autofocus") {
			t.Errorf("input %v", in.Attr)
		}
		if p.says("errors") == "" || !strings.HasPrefix(text(p.all("title")[0]), p.first("Error:", "오류:")) {
			t.Errorf("the page doesn't say that something is wrong: %s", p.text)
		}
	}
	// The page shows the errors of fields that it doesn't have above the form.
	if got := render(t, "en", pages.Reset, pages.Data{Token: "cs_mt_x", Fields: map[string]string{"token": "It is no token."}}).says("errors"); got != "It is no token." {
		t.Errorf("errors = %q", got)
	}
}

// first returns the English text for an English page, and else the Korean one.
func (p page) first(en, ko string) string {
	if get(p.all("html")[0], "lang") == "en" {
		return en
	}
	return ko
}

// The focus is on the element that the user needs next.
func TestFocus(t *testing.T) {
	for _, c := range []struct {
		page pages.Name
		data pages.Data
		want string
	}{
		{pages.Login, pages.Data{}, "username"},
		{pages.Login, pages.Data{Username: "alice"}, "password"},
		{pages.Login, pages.Data{Username: "alice", Errors: []string{"invalid_credentials"}}, "password"},
		{pages.Login, pages.Data{SignedIn: "alice"}, ""},
		{pages.Login, pages.Data{SignedIn: "alice", Username: "bob", Errors: []string{"invalid_credentials"}}, "password"},
		{pages.Signup, pages.Data{Username: "alice", Fields: map[string]string{"username": "taken"}}, "username"},
		{pages.Signup, pages.Data{Username: "alice", Fields: map[string]string{"password": "too_common"}}, "password"},
		{pages.Forgot, pages.Data{Email: "alice@example.com"}, "email"},
		{pages.Consent, pages.Data{Client: "App"}, ""},
	} {
		var got string
		for _, n := range render(t, "en", c.page, c.data).all("*") {
			if has(n, "autofocus") {
				got = get(n, "name")
			}
		}
		if got != c.want {
			t.Errorf("%s of %+v: the focus is on %q, want %q", c.page, c.data, got, c.want)
		}
	}
}

func TestWaitsAreRoundedUp(t *testing.T) {
	for d, want := range map[time.Duration][2]string{
		0:                  {"in a moment.", "잠시 후에"},
		time.Second / 2:    {"in 1 second.", "1초 후에"},
		59*time.Second + 1: {"in 60 seconds.", "60초 후에"},
		61 * time.Second:   {"in 2 minutes.", "2분 후에"},
		15 * time.Minute:   {"in 15 minutes.", "15분 후에"},
	} {
		for i, language := range []string{"en", "ko"} {
			if got := render(t, language, pages.Login, pages.Data{Errors: []string{"throttled"}, Retry: d}).says("errors"); !strings.Contains(got, want[i]) {
				t.Errorf("%v: %q", d, got)
			}
		}
	}
}

func TestScopesAreSaid(t *testing.T) {
	p := render(t, "en", pages.Consent, pages.Data{Client: "App", Scopes: []string{"openid", "notes:read", "email"}})
	if got := p.says("scopes"); got != "know that it is you notes:read see your e-mail address" {
		t.Errorf("scopes = %q", got)
	}
	if code := p.all("code"); len(code) != 1 || text(code[0]) != "notes:read" {
		t.Errorf("a scope without words isn't shown as it is: %s", p.text)
	}
}

func TestFormPost(t *testing.T) {
	e := examples()[slices.IndexFunc(examples(), func(e pages.Example) bool { return e.Name == "form_post" })]
	p := render(t, "en", pages.FormPost, e.Data)
	if got := get(p.find("form-post"), "action"); got != e.Data.Action {
		t.Errorf("action = %q", got)
	}
	var got []pages.Value
	for _, n := range p.all("input") {
		got = append(got, pages.Value{Name: get(n, "name"), Value: get(n, "value")})
	}
	if !slices.Equal(got, e.Data.Values) {
		t.Errorf("values = %v", got)
	}
	for _, action := range []string{"javascript:alert(1)", "com.example.app:/callback", ""} {
		if err := pages.Render(&bytes.Buffer{}, "en", pages.FormPost, &pages.Data{Action: action}); err == nil {
			t.Errorf("a form would be posted to %q", action)
		}
	}
}

func TestLanguage(t *testing.T) {
	for preferred, want := range map[string]string{
		"": "en", "fr": "en", "ko": "ko", "ko-KR,ko;q=0.9,en-US;q=0.8": "ko", "en-GB, ko": "en", ";;;q=": "en",
		"de, ko;q=0.2": "ko", "ko en": "ko", "fr-CA ko en": "ko", "en ko": "en", "*": "en", "ko-KP": "ko",
	} {
		if got := pages.Language(preferred); got != want {
			t.Errorf("%q: %q, want %q", preferred, got, want)
		}
	}
	if p := render(t, "tlh", pages.Login, pages.Data{}); get(p.all("html")[0], "lang") != "en" {
		t.Error("a language that there isn't is not English")
	}
}
