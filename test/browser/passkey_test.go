package browser_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/webauthn"
	"github.com/chromedp/chromedp"
	"github.com/pquerna/otp/totp"
)

// keys is a device that keeps passkeys for a tab, and verifies its user at once.
type keys struct {
	b  *tab
	id webauthn.AuthenticatorID
}

// newKeys gives a tab a device.
func (b *tab) newKeys() *keys {
	b.t.Helper()
	k := &keys{b: b}
	b.do(func(ctx context.Context, t *chromedp.Target) (chromedp.Void, error) {
		if _, err := cdp.Call(ctx, t, webauthn.Enable, webauthn.EnableParams{}); err != nil {
			return chromedp.Void{}, err
		}
		made, err := cdp.Call(ctx, t, webauthn.AddVirtualAuthenticator, webauthn.AddVirtualAuthenticatorParams{Options: &webauthn.VirtualAuthenticatorOptions{
			Protocol: webauthn.AuthenticatorProtocolCtap2, Transport: webauthn.AuthenticatorTransportInternal,
			HasResidentKey: true, HasUserVerification: true, IsUserVerified: true, AutomaticPresenceSimulation: true,
		}})
		if err == nil {
			k.id = made.AuthenticatorID
		}
		return chromedp.Void{}, err
	})
	return k
}

// command does one of the device's commands.
func command[P, R any](k *keys, does cdp.Command[P, R], params P) (result R) {
	k.b.t.Helper()
	k.b.do(func(ctx context.Context, t *chromedp.Target) (_ chromedp.Void, err error) {
		result, err = cdp.Call(ctx, t, does, params)
		return chromedp.Void{}, err
	})
	return result
}

// verifies says whether the device can verify its user.
func (k *keys) verifies(does bool) {
	k.b.t.Helper()
	command(k, webauthn.SetUserVerified, webauthn.SetUserVerifiedParams{AuthenticatorID: k.id, IsUserVerified: does})
}

// answers says whether the user answers what the device asks.
func (k *keys) answers(does bool) {
	k.b.t.Helper()
	command(k, webauthn.SetAutomaticPresenceSimulation, webauthn.SetAutomaticPresenceSimulationParams{AuthenticatorID: k.id, Enabled: does})
}

// all returns the passkeys on the device.
func (k *keys) all() []*webauthn.Credential {
	k.b.t.Helper()
	return command(k, webauthn.GetCredentials, webauthn.GetCredentialsParams{AuthenticatorID: k.id}).Credentials
}

// put puts a passkey on the device in place of all others.
func (k *keys) put(c webauthn.Credential) {
	k.b.t.Helper()
	command(k, webauthn.ClearCredentials, webauthn.ClearCredentialsParams{AuthenticatorID: k.id})
	// The library's own parameters have a member that Chromium takes for some devices only.
	command(k, cdp.Command[map[string]any, cdp.Empty]{Method: webauthn.CommandAddCredential}, map[string]any{
		"authenticatorId": k.id, "credential": map[string]any{
			"credentialId": c.CredentialID, "isResidentCredential": true, "rpId": c.RpID, "privateKey": c.PrivateKey,
			"userHandle": c.UserHandle, "signCount": c.SignCount, "userName": c.UserName,
		},
	})
}

// Users make a passkey at our pages, and sign in with it: by the button, by what the browser
// offers in the field, on a second device, and after the password.
func TestPasskeysAtTheHostedPages(t *testing.T) {
	h := newHosted(t)
	h.signUp("alice")
	b := newProfile(t).newTab()
	device := b.newKeys()
	out := func() {
		t.Helper()
		b.open(h.origin + "/logout")
		b.press("Sign out")
		b.wait("signed out", "!document.querySelector('#sign-out')")
	}
	b.open(h.origin + "/me/factors")
	b.signIn("alice")
	b.isAt("Passkeys and second factor")
	b.press("Add a passkey")
	b.fill("Name", "Laptop")
	b.press("Make a passkey")
	b.shows("Recovery codes")
	b.press("I have kept them")
	b.shows("Passkey: Laptop")
	b.press("Add a passkey")
	b.press("Make a passkey")
	b.shows("This device has a passkey for your account already.")
	passkey := *device.all()[0]
	if passkey.RpID != "localhost" || passkey.UserName != "alice" {
		t.Errorf("the passkey is of %s at %s", passkey.UserName, passkey.RpID)
	}
	out()

	// By what the browser offers: the user chooses it without typing.
	b.open(h.origin + "/me/security")
	b.isAt("Security")
	out()

	// By the button.
	device.answers(false)
	b.open(h.origin + "/me/security")
	b.isAt("Sign in")
	device.verifies(false)
	device.answers(true)
	b.press("Sign in with a passkey")
	b.shows("The passkey was not used.")
	device.verifies(true)
	b.press("Sign in with a passkey")
	b.isAt("Security")
	out()

	// After the password.
	device.answers(false)
	b.open(h.authorization())
	b.signIn("alice")
	b.isAt("One more step")
	device.answers(true)
	b.press("Use your passkey")
	b.press("Allow")
	if cb := h.back(b, 0); cb.code(t) == "" {
		t.Error("no code")
	}
	out()

	// A copy that has counted less is refused: the key was on one device.
	other := newProfile(t).newTab()
	second := other.newKeys()
	copied := passkey
	copied.SignCount = 1
	second.put(copied)
	other.open(h.origin + "/me/security")
	other.shows("The passkey didn’t work here.")
	if strings.Contains(evaluate[string](other, "location.pathname"), "/me") {
		t.Error("a copied passkey signs in")
	}

	// One that is gone: the browser is told, and forgets it.
	device.answers(true)
	b.open(h.origin + "/me/factors")
	b.isAt("Passkeys and second factor")
	b.press("Remove")
	b.isAt("Passkeys and second factor")
	b.press("Remove")
	b.shows("It is removed.")
	for end := time.Now().Add(patience); len(device.all()) > 0; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the browser keeps a passkey that is gone")
		}
	}
	device.put(passkey) // a device that wasn't told
	out()
	b.open(h.origin + "/me/security")
	b.shows("The passkey didn’t work here.")
	b.signIn("alice") // nothing else is left to ask for
	b.isAt("Security")
}

// An application's page makes a passkey with the module, and signs in with it: alone, and
// after the password.
func TestPasskeysWithTheModule(t *testing.T) {
	s := newSite(t)
	b := newProfile(t).newTab()
	device := b.newKeys()
	s.signUp(b, "alice")
	if got := evaluate[string](b, `(async () => {
		const { countersign } = await import("/assets/countersign.js");
		const auth = globalThis.auth = countersign();
		await auth.user();
		const made = await auth.createPasskey({ name: "Laptop" });
		const again = await auth.createPasskey().catch((error) => error.code);
		const [factor] = await auth.factors();
		await auth.prove({ passkey: true });
		await auth.signOut();
		const alone = await auth.signInWithPasskey();
		await auth.signOut();
		const refused = await auth.signIn({ username: "alice", password: $1 }).catch((error) => error);
		const after = await auth.answer(refused.challenge);
		await auth.signOut();
		const second = await auth.signIn({ username: "alice", password: $1 }).catch((error) => error);
		const wrong = await auth.answer(second.challenge, { code: "aaaa-bbbb-cccc-dddd" }).catch((error) => error.code);
		const code = await auth.answer(second.challenge, { code: made.recovery_codes[0] });
		await auth.signOut();
		const offered = await auth.signInWithPasskey({ conditional: true });
		return [made.kind, made.recovery_codes.length, again, factor.name, alone.username, refused.code, refused.challenge.methods, after.username, wrong, code.username, offered.username].join(" ");
	})()`, password); got != "passkey 10 passkey_exists Laptop alice second_factor_required passkey,recovery_code alice invalid_code alice alice" {
		t.Errorf("got %s", got)
	}
	device.verifies(false)
	if got := evaluate[string](b, `auth.signOut().then(() => auth.signInWithPasskey()).catch((error) => error.code)`); got != "passkey_not_used" {
		t.Errorf("without a finger: %s", got)
	}
	device.verifies(true)
	if got := evaluate[int](b, `(async () => {
		await auth.signInWithPasskey();
		for (const factor of await auth.factors()) if (factor.kind === "passkey") await auth.removeFactor(factor.id);
		return (await auth.factors()).length;
	})()`); got != 0 {
		t.Errorf("%d factors are left", got)
	}
	if left := device.all(); len(left) > 0 {
		t.Errorf("the browser keeps %d passkeys that are gone", len(left))
	}
}

// The demo asks for a second factor on its own page, and makes and uses passkeys.
func TestDemoWithPasskeys(t *testing.T) {
	s := newSite(t)
	b := newProfile(t).newTab()
	device := b.newKeys()
	s.signUp(b, "alice")
	b.open(s.url + "/demo#security")
	b.isAt("Security")
	b.fill("Name of the passkey", "Laptop")
	b.press("Add a passkey")
	b.shows("Your recovery codes")
	b.press("I have kept them")
	b.shows("Passkey: Laptop")
	device.answers(false)
	b.press("Sign out")
	b.isAt("Sign in")
	b.fill("Username or e-mail address", "alice")
	b.fill("Password", password)
	b.press("Sign in")
	b.isAt("One more step")
	b.fill("Code", "aaaa-bbbb-cccc-dddd")
	b.press("Continue")
	b.shows("The code is wrong, or was used before.")
	device.answers(true)
	b.press("Use a passkey")
	b.isAt("Profile")
	device.answers(false)
	b.press("Sign out")
	b.isAt("Sign in")
	device.answers(true)
	b.press("Sign in with a passkey")
	b.isAt("Profile")
}

// In a browser that is remembered the password alone signs in, and a code is due for a change of
// the factors. The demo takes one.
func TestDemoInARememberedBrowser(t *testing.T) {
	s := newSite(t)
	b := newProfile(t).newTab()
	b.newKeys()
	s.signUp(b, "alice")
	const enrol = `(async () => {
		const post = async (path, body) => (await fetch("/account/factors/totp" + path, { method: "POST", headers: { "Content-Type": "application/json" }, body })).json();
		if (%[1]q) return (await post(%[1]q, JSON.stringify({ code: %[2]q }))).recovery_codes.length + "";
		const { id, secret } = await post("", "{}");
		return id + " " + secret;
	})()`
	id, secret, _ := strings.Cut(evaluate[string](b, fmt.Sprintf(enrol, "", "")), " ")
	now := time.Now()
	code := func(steps time.Duration) string { // each works once
		t.Helper()
		code, err := totp.GenerateCode(secret, now.Add(steps*30*time.Second))
		if err != nil {
			t.Fatal(err)
		}
		return code
	}
	if got := evaluate[string](b, fmt.Sprintf(enrol, "/"+id+"/confirm", code(-1))); got != "10" {
		t.Fatalf("%s recovery codes", got)
	}
	signIn := func() {
		t.Helper()
		b.open(s.url + "/demo")
		b.press("Sign out")
		b.isAt("Sign in")
		b.fill("Username or e-mail address", "alice")
		b.fill("Password", password)
		b.press("Sign in")
	}
	signIn()
	b.isAt("One more step")
	b.fill("Code", code(0))
	evaluate[bool](b, `document.querySelector("[name=remember]").click() === undefined`)
	b.press("Continue")
	b.isAt("Profile")
	signIn()
	b.isAt("Profile")
	b.open(s.url + "/demo#security")
	b.isAt("Security")
	b.shows("Recovery codes, 10 left") // until the list is there, the button moves
	b.press("Add a passkey")
	b.shows("or a code of your app, where the form takes one")
	b.fill("Or a code of your app", code(1))
	b.press("Add a passkey")
	b.shows("Your passkey is set up.")
}
