package browser_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
	"github.com/pquerna/otp/totp"

	"countersign/seal"
	"countersign/secrecy"
)

// speaks makes the tab ask for pages in a language.
func (b *tab) speaks(language string) {
	b.t.Helper()
	b.do(func(ctx context.Context, t *chromedp.Target) (chromedp.Void, error) {
		_, err := cdp.Call(ctx, t, network.SetExtraHTTPHeaders, network.SetExtraHTTPHeadersParams{
			Headers: network.Headers{"Accept-Language": language},
		})
		return chromedp.Void{}, err
	})
}

// enter fills in the fields with ids, in pairs, and clicks the button with an id, which
// leads to another page.
func (b *tab) enter(button string, pairs ...string) {
	b.t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		evaluate[any](b, "document.getElementById($1).value = $2, null", pairs[i], pairs[i+1])
	}
	evaluate[any](b, "window.left = true, null")
	b.click(button, "document.getElementById($1)", button)
	b.wait("another page", "!window.left && document.readyState === 'complete'")
}

// expired is a ticket from yesterday.
func (h *hosted) expired() string {
	h.t.Helper()
	text, err := os.ReadFile(filepath.Join(h.data, "master.key"))
	if err != nil {
		h.t.Fatal(err)
	}
	keys, err := seal.Parse(secrecy.Text(string(text)))
	if err != nil {
		h.t.Fatal(err)
	}
	request, err := json.Marshal(map[string]any{
		"client_id": "notes", "redirect_uri": h.app.far + "/callback", "asked_at": time.Now().Add(-24 * time.Hour).UnixMilli(),
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return keys.Token("cs_ar_", "authorization request", request)
}

// Every page is accessible: axe finds nothing, and nothing is too wide, in both
// languages, light and dark, on a desktop, on a phone and enlarged.
func TestHostedPagesAreAccessible(t *testing.T) {
	t.Parallel()
	axe := axeSource(t)
	h := newHosted(t)
	p := newProfile(t)
	h.signUp("bob")
	for _, language := range []string{"en", "ko"} {
		t.Run(language, func(t *testing.T) {
			b := p.of(t).newTab()
			b.speaks(language)
			user := "alice-" + language
			look := func(name string) {
				t.Helper()
				if got := evaluate[string](b, "document.documentElement.lang"); got != language {
					t.Errorf("%s is in %q", name, got)
				}
				b.look(axe, name+"-"+language)
			}

			b.open(h.origin + "/login")
			look("login")
			b.open(h.authorization())
			look("login-client")
			b.enter("sign-in", "username", "nobody", "password", "wrong")
			look("login-wrong")

			b.open(h.authorization("prompt", "create"))
			look("signup")
			b.enter("sign-up", "username", "bob", "email", "not an address", "password", "short")
			look("signup-wrong")
			b.enter("sign-up", "username", user, "email", user+"@example.net", "password", password)
			look("consent")
			b.enter("allow")
			b.open(h.authorization("prompt", "select_account"))
			look("login-continue")

			b.open(h.origin + "/me")
			evaluate[any](b, "document.querySelectorAll('details').forEach((d) => d.open = true), null")
			look("me-open")
			b.enter("save", "birthdate", "May", "address.postal_code", strings.Repeat("1", 40))
			look("me-wrong") // and what is folded up shows where it is wrong
			if at := evaluate[string](b, "document.activeElement.id"); at != "birthdate" {
				t.Errorf("the focus is on %q, and not where something is wrong", at)
			}
			b.enter("save", "birthdate", "1852-05-04", "address.postal_code", "OX1 1DP", "name", "Alice "+strings.Repeat("Liddell", 30))
			b.open(h.origin + "/me/security")
			b.enter("change-password", "current_password", "wrong", "new_password", "short")
			look("security-wrong")
			b.open(h.origin + "/me/factors?do=factor_begin")
			b.enter("do")
			look("factors-enrol")
			code, err := totp.GenerateCode(evaluate[string](b, "document.getElementById('secret').innerText"), time.Now())
			if err != nil {
				t.Fatal(err)
			}
			b.enter("confirm-factor", "code", code)
			look("factors-codes")
			b.open(h.origin + "/me/sessions")
			b.enter("end-others")
			look("sessions-ended")
			b.open(h.origin + "/me/apps")
			look("apps")
			b.open(h.origin + "/me/data")
			look("data")

			b.open(h.origin + "/oauth/logout?client_id=notes")
			look("logout-client")
			b.open(h.origin + "/logout")
			look("logout")
			b.enter("sign-out")
			look("signed-out")
			b.open(h.origin + "/login")
			b.enter("sign-in", "username", user, "password", password)
			look("factor")

			b.open(h.authorization())
			b.click("the link", `document.querySelector('a[href*="/forgot"]')`)
			b.wait("the page", "document.getElementById('send-link') !== null")
			look("forgot")
			b.enter("send-link", "email", user)
			look("mail-sent")
			b.open(h.origin + "/reset?token=wrong")
			look("reset")
			b.enter("set-password", "password", "short")
			look("reset-wrong") // and the page asks for the link
			b.enter("set-password", "token", "wrong", "password", "new "+password)
			look("reset-expired")
			b.open(h.link(user+"@example.net", 2))
			b.wait("the script", "location.hash === ''") // in the page that is there already
			if urls := append(b.history(), evaluate[string](b, "location.href")); strings.Contains(fmt.Sprint(urls), "cs_mt_") {
				t.Errorf("the token is left in %q", urls)
			}
			b.enter("set-password", "password", "new "+password)
			look("password-set")
			b.open(h.link(user+"@example.net", 1))
			b.wait("no field for the link", "document.getElementById('token').offsetParent === null")
			look("verify")
			b.enter("confirm")
			look("verified")
			b.open(h.origin + "/verify?token=wrong")
			b.enter("confirm")
			look("verify-expired")

			b.open(h.authorization("client_id", "nobody"))
			look("unknown-client")
			b.open(h.authorization("redirect_uri", "https://"+strings.Repeat("long-", 20)+".example.org/"))
			look("invalid-redirect")
			b.open(h.origin + "/login?ticket=" + h.expired())
			look("expired")
			b.open(h.origin + "/login?ticket=wrong")
			look("invalid-request")
			b.open(h.app.far)
			evaluate[any](b, `{
				const form = Object.assign(document.createElement("form"), { method: "POST", action: $1 });
				form.append(Object.assign(document.createElement("button"), { id: "forge" }));
				document.body.append(form);
			}`, h.origin+"/login")
			b.enter("forge")
			look("origin")

			b.scripts(false)
			b.open(h.authorization("response_mode", "form_post", "prompt", "none"))
			b.scripts(true) // because axe is a script
			look("form-post")
		})
	}
}
