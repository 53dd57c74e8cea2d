package browser_test

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"countersign/test/programs"
)

// oidcApp is every page of an application that signs users in with the published
// oidc-client-ts.
const oidcApp = `<!doctype html>
<html lang="en">
<title>app</title>
<link rel="icon" href="data:,">
<h1>Loading</h1>
<script src="/oidc-client-ts.js"></script>
<script>
const show = (title) => { document.querySelector("h1").textContent = title; };
const manager = new oidc.UserManager({
	authority: %q,
	client_id: "spa",
	redirect_uri: location.origin + "/callback",
	silent_redirect_uri: location.origin + "/silent",
	post_logout_redirect_uri: location.origin + "/bye",
	scope: "openid profile email",
	loadUserInfo: true,
	filterProtocolClaims: false, // keeps auth_time
	silentRequestTimeoutInSeconds: 15,
});
window.renewed = [];
manager.events.addUserLoaded((user) => renewed.push(user.access_token));
const failed = (err) => show(err.error ?? String(err));
switch (location.pathname) {
case "/":
	manager.getUser().then((user) => show(user ? user.profile.preferred_username : "Nobody"), failed);
	break;
case "/bye":
	manager.signoutCallback().then(() => show("Bye"), failed);
	break;
default: // the callback of a redirect, or of the hidden frame
	manager.signinCallback().then((user) => {
		window.state = user?.state;
		if (user) show(user.profile.preferred_username);
	}, failed);
}
</script>
`

// An application in a browser signs in, stays signed in and signs out with an
// unmodified library.
func TestRealClientOIDCClientTS(t *testing.T) {
	tools, err := programs.NodePackage("node")
	if err != nil {
		t.Fatal(err)
	}
	h := newHosted(t, "COUNTERSIGN_TOKENS_ACCESS_TTL=62s") // the library renews tokens a minute before they expire
	h.signUp("alice")
	app := serveHTTP(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/oidc-client-ts.js" {
			http.ServeFile(w, r, filepath.Join(tools, "node_modules", "oidc-client-ts", "dist", "browser", "oidc-client-ts.min.js"))
			return
		}
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprintf(w, oidcApp, h.origin)
	}))
	p := newProfile(t)
	b, other := p.newTab(), p.newTab()
	type user struct {
		Access  string         `json:"access_token"`
		Refresh string         `json:"refresh_token"`
		Profile map[string]any `json:"profile"`
	}
	now := func() user {
		t.Helper()
		return evaluate[user](b, "manager.getUser()")
	}
	asks := func(what string) int { return strings.Count(h.asked.String(), what) }
	const framed, refreshes = "prompt=none", "POST /oauth/token "

	b.open(app)
	b.isAt("Nobody")
	evaluate[any](b, `void manager.signinRedirect({ state: "page 7", login_hint: "alice" })`)
	b.isAt("Sign in")
	b.fill("Password", password)
	b.press("Sign in")
	b.isAt("alice")
	first := now()
	if state := evaluate[string](b, "window.state"); state != "page 7" {
		t.Errorf("the application's state became %q", state)
	}
	if first.Profile["email"] != "alice@example.net" || first.Profile["auth_time"] == nil || first.Refresh == "" {
		t.Errorf("signed in: %+v", first)
	}

	// The library renews tokens by itself, with the refresh token.
	b.wait("a new token", "renewed.at(-1) && renewed.at(-1) !== $1", first.Access)
	if n := asks(framed); n > 0 {
		t.Errorf("renewed by %d frames", n)
	}
	if n := asks(refreshes); n < 2 {
		t.Errorf("%d requests for tokens", n)
	}
	evaluate[any](b, "manager.stopSilentRenew()")
	// The library can also renew tokens in a hidden frame.
	before := now()
	evaluate[any](b, "manager.signinSilent({ forceIframeAuth: true }).then(() => null)")
	silent := now()
	if n := asks(framed); n != 1 {
		t.Errorf("%d frames", n)
	}
	if silent.Access == before.Access {
		t.Error("the token is the same")
	}
	for _, name := range []string{"sub", "auth_time"} {
		if silent.Profile[name] != first.Profile[name] || silent.Profile[name] == nil {
			t.Errorf("%s = %v, was %v", name, silent.Profile[name], first.Profile[name])
		}
	}
	// A page that is opened again doesn't ask for the password.
	evaluate[any](b, "window.left = true, void manager.signinRedirect()")
	b.wait("the way there and back", "!window.left && document.querySelector('h1')?.textContent === 'alice'")

	// After the user signs out on our page, the application learns it with its next
	// request.
	evaluate[any](b, "manager.stopSilentRenew()")
	other.open(h.origin + "/logout")
	other.press("Sign out")
	other.isAt("Signed out")
	const silently = "manager.signinSilent({ forceIframeAuth: true }).then(() => 'signed in', (err) => err.error ?? String(err))"
	if got := evaluate[string](b, silently); got != "login_required" {
		t.Errorf("the frame says %q", got)
	}
	if got := evaluate[string](b, "manager.signinSilent().then(() => 'signed in', (err) => err.error ?? String(err))"); got != "invalid_grant" {
		t.Errorf("the refresh says %q", got)
	}

	// The application signs out.
	evaluate[any](b, `void manager.removeUser().then(() => manager.signinRedirect())`)
	b.signIn("alice")
	b.isAt("alice")
	evaluate[any](b, "manager.stopSilentRenew(), manager.revokeTokens(['refresh_token']).then(() => null)")
	evaluate[any](b, `void manager.signoutRedirect({ state: "so long" })`)
	b.isAt("Bye") // without a question, because the ID token names the user
	if got := evaluate[string](b, "new URLSearchParams(location.search).get('state') ?? ''"); got == "" {
		t.Error("state got lost")
	}
	if got := evaluate[string](b, silently); got != "login_required" {
		t.Errorf("the frame says %q", got)
	}
	evaluate[any](b, "void manager.signinRedirect()")
	b.isAt("Sign in")
	b.press("Create an account")
	b.isAt("Create an account")
}
