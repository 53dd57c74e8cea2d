package pages

import (
	"slices"
	"strings"
	"time"
)

// An Example is a page in one state that a user may see. Its Name is unique, and that of a
// page's first state is the page's path.
type Example struct {
	Name string
	Page Name
	Data Data
}

// Examples returns all pages in all their states, without what all pages have in common.
func Examples() []Example {
	const client, user, home = "Acme Notes", "alice", "https://app.example.com/"
	providers := []Provider{{"google", "Google"}, {"acme", "Acme ID"}}
	all := []Example{
		{"login", Login, Data{Signup: true, Forgot: true}},
		{"login-for-a-client", Login, Data{Ticket: "a.b", Client: client, Username: user, Signup: true, Forgot: true}},
		{"login-or-go-on", Login, Data{Ticket: "a.b", Client: client, SignedIn: user, Continue: "cs_am_x", Signup: true, Forgot: true}},
		{"login-or-go-on-as-another", Login, Data{Ticket: "a.b", Client: client, SignedIn: user, Continue: "cs_am_x", Errors: []string{"other_account"}, Signup: true, Forgot: true}},
		{"login-where-addresses-are-confirmed", Login, Data{Ticket: "a.b", Client: client, Signup: true, Forgot: true, RequireVerifiedEmail: true}},
		{"login-on-the-way-to-the-account", Login, Data{To: "/me/security", Signup: true, Forgot: true}},
		{"login-refused", Login, Data{Ticket: "a.b", Client: client, Username: user, Errors: []string{"invalid_credentials"}, Forgot: true}},
		{"login-throttled", Login, Data{Username: user, Errors: []string{"throttled"}, Retry: 61 * time.Second}},
		{"login-with-other-providers", Login, Data{Ticket: "a.b", Client: client, Providers: providers, Signup: true, Forgot: true}},
		{"login-while-a-provider-is-down", Login, Data{Provider: "Acme ID", Errors: []string{"provider_away"}, Providers: providers, Forgot: true}},
		{"login-or-go-on-with-other-providers", Login, Data{Ticket: "a.b", Client: client, SignedIn: user, Continue: "cs_am_x", Providers: providers}},
		{"login/link", Linking, Data{Ticket: "a.b", Provider: "Google", Email: "alice@example.com", Signup: true}},
		{"login-to-link-another-provider", Login, Data{Ticket: "a.b", Client: client, Links: "Google", Email: "alice@example.com", Username: "alice@example.com", Providers: providers, Forgot: true}},
		{"signup", Signup, Data{}},
		{"signup-with-other-providers", Signup, Data{To: "/me/security", Providers: providers}},
		{"signup/with", Join, Data{Ticket: "a.b", Provider: "Google"}},
		{"join-refused", Join, Data{Provider: "Google", Username: user, Email: "alice@example.com", UsernameNeed: "required", Fields: map[string]string{"username": "taken"}}},
		{"signup-for-a-client", Signup, Data{Ticket: "a.b", Client: client, RequireVerifiedEmail: true}},
		{"signup-refused", Signup, Data{
			Username: user, Email: "nonsense", MinLength: 8,
			Fields: map[string]string{"username": "taken", "email": "invalid", "password": "too_short"},
		}},
		{"consent", Consent, Data{Ticket: "a.b", Client: client, Username: user, Scopes: []string{
			"openid", "profile", "email", "phone", "address", "roles", "groups", "offline_access", "notes:read",
		}}},
		{"consent-to-nothing", Consent, Data{Ticket: "a.b", Client: client, Username: user}},
		{"logout-with-a-home", Logout, Data{Username: user, Home: home}},
		{"signed-out-with-a-home", SignedOut, Data{Home: home}},
		{"expired-with-its-application", Message, Data{Message: "expired", Client: client, App: "https://notes.example.com/"}},
		{"signed-in-late-with-its-application", Message, Data{Message: "signed_in_late", Client: client, App: "https://notes.example.com/"}},
		{"verified-on-the-way", Message, Data{Message: "verified", Client: client, Ticket: "a.b", Home: home}},
		{"logout", Logout, Data{Username: user}},
		{"logout-for-a-client", Logout, Data{Ticket: "a.b", Client: client, Username: user}},
		{"signed-out", SignedOut, Data{}},
		{"factor", Factor, Data{Ticket: "a.b", Client: client}},
		{"factor/recovery", Factor, Data{Ticket: "a.b", Client: client, Recovery: true}},
		{"login-with-a-passkey", Login, Data{Signup: true, Forgot: true, Passkey: &Passkey{}}},
		{"login-with-an-unknown-passkey", Login, Data{Forgot: true, Passkey: &Passkey{Unknown: `{"rpId":"localhost","credentialId":"AA"}`}, Errors: []string{"bad_passkey"}}},
		{"factor-by-app-or-passkey", Factor, Data{Client: client, Passkey: &Passkey{Options: "{}"}}},
		{"factor-by-passkey", Factor, Data{Client: client, Passkey: &Passkey{Options: "{}"}, OnlyPasskey: true}},
		{"factor/recovery-without-an-app", Factor, Data{Client: client, Passkey: &Passkey{Options: "{}"}, OnlyPasskey: true, Recovery: true}},
		{"factor-refused", Factor, Data{Errors: []string{"wrong_code"}}},
		{"factor-over", Factor, Data{Ticket: "a.b", Client: client, Errors: []string{"bad_challenge"}, Over: true}},
		{"factor-remember", Factor, Data{MayRemember: true}},
		{"factor/enrol", FactorEnrol, Data{Ticket: "a.b", Client: client, Username: user, Enrolment: exampleEnrolment, MayRemember: true}},
		{"factor-enrol-with-passkeys", FactorEnrol, Data{Client: client, Passkey: &Passkey{Options: "{}"}, Enrolment: exampleEnrolment, MayRemember: true}},
		{"factor-enrol-passkeys-alone", FactorEnrol, Data{Client: client, Passkey: &Passkey{Options: "{}"}, Errors: []string{"bad_passkey"}}},
		{"factor-enrol-refused", FactorEnrol, Data{Errors: []string{"wrong_code"}, Enrolment: exampleEnrolment}},
		{"factor-enrol-codes", FactorEnrol, Data{Ticket: "a.b", Client: client, RecoveryCodes: exampleCodes}},
		{"factor-enrol-over", FactorEnrol, Data{Ticket: "a.b", Client: client, Errors: []string{"bad_challenge"}, Over: true}},
		{"factor-enrol-not-offered", FactorEnrol, Data{Errors: []string{"factor_not_offered"}, Over: true}},
		{"forgot", Forgot, Data{Ticket: "a.b"}},
		{"forgot-without-a-client", Forgot, Data{}},
		{"forgot-refused", Forgot, Data{Username: user, Errors: []string{"throttled"}}},
		{"reset", Reset, Data{Token: "cs_mt_x"}},
		{"reset-refused", Reset, Data{Token: "cs_mt_x", Errors: []string{"bad_token"}, Fields: map[string]string{"password": "too_common"}}},
		{"reset-by-a-link-with", Reset, Data{}},
		{"reset-without-a-token", Reset, Data{Errors: []string{"bad_token"}}},
		{"reset-expired", Reset, Data{Ticket: "a.b", Client: client, Renew: "cs_mt_x", Errors: []string{"bad_token"}}},
		{"verify-expired", Verify, Data{Renew: "cs_mt_x", Errors: []string{"bad_token"}}},
		{"verify", Verify, Data{Token: "cs_mt_x"}},
		{"verify-by-a-link-with", Verify, Data{}},
		{"verify/again", Again, Data{}},
		{"again-refused", Again, Data{Ticket: "a.b", Fields: map[string]string{"username": "required"}}},
		{"again-throttled", Again, Data{Username: user, Errors: []string{"throttled"}, Retry: 61 * time.Second}},
		{"verify-sent-again", Message, Data{Ticket: "a.b", Message: "verify_sent", Username: user, Email: "alice@example.com", MailFails: true}},
		{"form_post", FormPost, Data{
			Action: "https://app.example.com/callback?x=1&y=2",
			Values: []Value{{"code", "cs_ac_x"}, {"state", `"><script>alert(1)</script>`}, {"iss", "https://auth.example.com"}},
		}},
		{"form_post-for-a-client", FormPost, Data{Client: client, Action: "http://localhost:8080/callback"}},
	}
	all = append(all, ownExamples()...)
	for _, code := range Messages() {
		all = append(all, Example{"message-" + code, Message, Data{Message: code, Email: "alice@example.com"}})
	}
	all = append(all, Example{"message-in-detail", Message, Data{
		Message: "invalid_redirect_uri", Ticket: "a.b", Detail: "redirect_uri is not registered for this client",
	}})
	return all
}

// Messages returns the codes of all that a Message can say.
func Messages() []string {
	var all []string
	for key := range words {
		if code, ok := strings.CutPrefix(key, "message."); ok {
			if code, ok := strings.CutSuffix(code, ".title"); ok {
				all = append(all, code)
			}
		}
	}
	slices.Sort(all)
	return all
}
