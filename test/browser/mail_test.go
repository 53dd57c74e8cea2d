package browser_test

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"countersign/test/smtpd"
)

var linkIn = regexp.MustCompile(`http://\S+`)

// link returns the link of a letter, and the token in it.
func link(t *testing.T, l smtpd.Letter) (url, token string) {
	t.Helper()
	url = linkIn.FindString(l.Text)
	_, token, ok := strings.Cut(url, "=")
	if !ok {
		t.Fatalf("no link in the letter:\n%s", l.Text)
	}
	return url, token
}

// The reader of the mail proves an address, sets a new password, and changes the
// address, once per link. No token stays on the page, in the history or in the log.
func TestDemoByMail(t *testing.T) {
	post := smtpd.Start(t)
	s := newSite(t, "COUNTERSIGN_SMTP_HOST=127.0.0.1", "COUNTERSIGN_SMTP_PORT="+strconv.Itoa(post.Port),
		"COUNTERSIGN_SMTP_FROM=no-reply@example.com")
	p := newProfile(t)
	b, other := p.newTab(), p.newContext().newTab()

	b.open(s.url + "/demo#signup")
	b.fill("Username", "alice")
	b.fill("E-mail address", "alice@example.net")
	b.fill("Password", password)
	b.press("Create account")
	b.isAt("Profile")
	b.shows("alice@example.net (not confirmed)")
	s.signIn(other, "alice")

	verify, proof := link(t, post.Wait(1)[0])
	b.open("about:blank") // so that the page has no referrer, as when a mail program opens the link
	b.open(verify)
	b.isAt("E-mail address")
	b.press("Confirm")
	b.shows("Your e-mail address is confirmed.")
	b.press("Go to the account")
	b.shows("alice@example.net (confirmed)")

	b.press("Sign out")
	b.press("Forgotten password?")
	b.isAt("Forgotten password")
	b.fill("Username or e-mail address", "alice@example.net")
	b.press("Send the link")
	b.shows("a link is on its way")
	reset, secret := link(t, post.Wait(2)[1])
	for i, shows := range []string{"Your password is changed.", "Your password is changed."} { // twice is no error
		b.open("about:blank")
		b.open(reset)
		b.isAt("New password")
		b.fill("New password", "new "+password)
		b.press("Set password")
		b.shows(shows)
		b.keepsNoSecrets(password)
		if urls := append(b.history(), evaluate[string](b, "location.href + document.referrer")); strings.Contains(fmt.Sprint(urls), "cs_mt_") {
			t.Errorf("a token is left in %q", urls)
		}
		if i == 0 {
			b.isAt("Sign in")
		}
	}
	post.Wait(3) // the letter that reports the change
	other.press("Sessions")
	other.isAt("Sign in") // every browser of the account is signed out

	b.open(s.url + "/demo")
	b.fill("Username", "alice")
	b.fill("Password", "new "+password)
	b.press("Sign in")
	b.isAt("Profile")
	b.fill("New e-mail address", "alice@example.org")
	b.fill("Current password", "new "+password)
	b.press("Send a link to it")
	b.shows("A link is on its way to the new address.")
	asked := post.Wait(5)[3:] // the link, and a notice to the present address, in either order
	if asked[0].To != "alice@example.org" {
		slices.Reverse(asked)
	}
	change, move := link(t, asked[0])
	if asked[0].To != "alice@example.org" || asked[1].To != "alice@example.net" {
		t.Errorf("the link went to %s, the notice to %s", asked[0].To, asked[1].To)
	}
	b.open("about:blank")
	b.open(change)
	b.press("Confirm")
	b.shows("Your e-mail address is confirmed.")
	b.press("Go to the account")
	b.shows("alice@example.org (confirmed)")
	if told := post.Wait(6)[5]; told.To != "alice@example.net" {
		t.Errorf("%s was told of the new address", told.To)
	}
	log := s.log.String()
	if !strings.Contains(log, "/account/password/reset") {
		t.Error("the log doesn't say what was asked for, so this test shows nothing")
	}
	for _, not := range []string{password, proof, secret, move, "cs_rt_", "eyJ", "@example"} {
		if strings.Contains(log, not) {
			t.Errorf("the log has %q", not)
		}
	}
}
