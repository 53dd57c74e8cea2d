package pages

import "time"

// exampleEnrolment and exampleCodes are what users see who set up an authenticator app.
var (
	exampleEnrolment = &Enrolment{
		ID: "0196b3a0-0000-7000-8000-000000000024", Secret: "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP",
		URI: "otpauth://totp/Acme:alice?algorithm=SHA1&digits=6&issuer=Acme&period=30&secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP",
	}
	exampleCodes = []string{"hjcm-44r2-xpqz-vw7k", "o5tl-7mqa-zzs3-b2nd", "lnwe-pr4q-2gky-6ivu"}
)

// ownExamples are the pages of a user's own account in all their states.
func ownExamples() []Example {
	const user, home, address = "alice", "https://app.example.com/", "alice@example.com"
	at := time.Date(2026, time.March, 9, 8, 5, 0, 0, time.UTC)
	profile := map[string]string{
		"name": "Alice Liddell", "given_name": "Alice", "family_name": "Liddell", "phone_number": "+821012345678",
		"birthdate": "1852-05-04", "locale": "en-GB", "zoneinfo": "Europe/London", "website": "https://alice.example.com/",
		"address.street_address": "Christ Church\nSt Aldates", "address.locality": "Oxford", "address.country": "United Kingdom",
	}
	acts := []Act{
		{Kind: "session.created", At: at, Client: "Acme Notes", Device: "Firefox on Linux", Address: "192.0.2.7", Here: true},
		{Kind: "login.created", At: at.Add(-time.Second), Device: "Firefox on Linux", Address: "192.0.2.7", Here: true},
		{Kind: "user.email_changed", At: at.Add(-time.Hour), Address: "2001:db8::7:1"},
		{Kind: "session.reused", At: at.Add(-26 * time.Hour), Client: "Acme Mail", Address: "198.51.100.20"},
		{Kind: "user.password_changed", At: at.Add(-50 * time.Hour)},
		{Kind: "login.created", At: at.Add(-90 * time.Hour), Address: "203.0.113.9"},
	}
	browsers := []Signed{
		{ID: "0196b3a0-0000-7000-8000-000000000001", Device: "Firefox on Linux", Begun: at, Here: true},
		{ID: "0196b3a0-0000-7000-8000-000000000002", Device: "Safari on iPhone", Begun: at.Add(-90 * time.Hour)},
	}
	sessions := []Signed{
		{ID: "0196b3a0-0000-7000-8000-000000000011", Client: "Acme Notes", Device: "Firefox on Linux", Begun: at, Used: at.Add(time.Minute), Here: true},
		{ID: "0196b3a0-0000-7000-8000-000000000012", Client: "Acme Mail", Begun: at.Add(-900 * time.Hour), Used: at.Add(-2 * time.Hour)},
	}
	apps := []OwnFactor{
		{ID: "0196b3a0-0000-7000-8000-000000000021", Name: "My phone", Since: at.Add(-90 * time.Hour), Used: at},
		{ID: "0196b3a0-0000-7000-8000-000000000022", Since: at},
		{ID: "0196b3a0-0000-7000-8000-000000000023", Codes: true, Left: 8, Since: at.Add(-90 * time.Hour)},
	}
	keys := []OwnFactor{
		{ID: "0196b3a0-0000-7000-8000-000000000025", Name: "Laptop", Passkey: true, Since: at.Add(-90 * time.Hour), Used: at},
		{ID: "0196b3a0-0000-7000-8000-000000000026", Passkey: true, Since: at},
		apps[0], apps[2],
	}
	providers := []Provider{{"google", "Google"}, {"acme", "Acme ID"}}
	linked := []OwnIdentity{
		{ID: "0196b3a0-0000-7000-8000-000000000031", Provider: "Google", Email: address, Since: at},
		{ID: "0196b3a0-0000-7000-8000-000000000032", Provider: "Acme ID", Since: at.Add(-90 * time.Hour)},
	}
	own := func(page Name, o Own, d Data) Data {
		o.Mail = o.Address != "" || page == Me && o.Profile == nil
		d.Username, d.SignedIn, d.Own, d.Forgot = user, user, &o, true
		return d
	}
	return []Example{
		{"me", Me, own(Me, Own{Address: address, Verified: true, Profile: profile}, Data{Home: home})},
		{"me-saved", Me, own(Me, Own{Notice: "profile_saved", Address: address, Verified: true, Profile: profile}, Data{})},
		{"me-other-account", Me, own(Me, Own{Notice: "other_account", Address: address, Verified: true, Profile: profile}, Data{})},
		{"me-new", Me, own(Me, Own{}, Data{})},
		{"me-unconfirmed", Me, own(Me, Own{Address: address, ProofDue: true}, Data{})},
		{"me-link-sent", Me, own(Me, Own{Notice: "letter_sent", Address: address}, Data{MailFails: true})},
		{"me-address-asked", Me, own(Me, Own{Notice: "email_asked", Address: address, Verified: true}, Data{})},
		{"me-address-refused", Me, own(Me, Own{Address: address, Verified: true, ProofDue: true}, Data{
			Email: "nonsense", Fields: map[string]string{"email": "invalid", "current_password": "invalid"},
		})},
		{"me-refused", Me, own(Me, Own{Address: address, Verified: true, Profile: map[string]string{
			"phone_number": "12", "birthdate": "May", "zoneinfo": "Oxford", "address.postal_code": "OX1 1DP",
		}}, Data{Fields: map[string]string{
			"phone_number": "invalid", "birthdate": "invalid", "zoneinfo": "invalid", "address.postal_code": "too_long",
		}})},
		{"me/security", MeSecurity, own(MeSecurity, Own{Password: true, Acts: acts}, Data{Home: home})},
		{"me-security-changed", MeSecurity, own(MeSecurity, Own{Notice: "password_changed", Password: true, Acts: acts}, Data{})},
		{"me-security-refused", MeSecurity, own(MeSecurity, Own{Password: true, Acts: acts}, Data{
			MinLength: 8, Fields: map[string]string{"current_password": "invalid", "new_password": "too_short"},
		})},
		{"me-security-throttled", MeSecurity, own(MeSecurity, Own{Password: true}, Data{Errors: []string{"throttled"}, Retry: 61 * time.Second})},
		{"me-security-without-a-password", MeSecurity, own(MeSecurity, Own{}, Data{})},
		{"me-security-with-another-way-in", MeSecurity, own(MeSecurity, Own{Password: true, OtherWayIn: true, Acts: acts}, Data{})},
		{"me-security-remove-password", MeSecurity, own(MeSecurity, Own{Password: true, OtherWayIn: true, Asked: "password_remove"}, Data{Fields: map[string]string{"current_password": "invalid"}})},
		{"me-security-with-a-factor", MeSecurity, own(MeSecurity, Own{Password: true, Acts: acts, Factors: apps}, Data{})},
		{"me-security-linked", MeSecurity, own(MeSecurity, Own{Notice: "identity_linked", Password: true, Identities: linked, Linkable: providers}, Data{})},
		{"me-security-to-link", MeSecurity, own(MeSecurity, Own{Password: true, ProofDue: true, Identities: linked, Linkable: providers}, Data{})},
		{"me-security-link", MeSecurity, own(MeSecurity, Own{Password: true, ProofDue: true, Asked: "identity_link", Identity: "google"}, Data{Provider: "Google"})},
		{"me-security-unlink", MeSecurity, own(MeSecurity, Own{Password: true, ProofDue: true, Asked: "identity_unlink", Identity: linked[0].ID}, Data{
			Fields: map[string]string{"current_password": "invalid"},
		})},
		{"me-security-last-way-in", MeSecurity, own(MeSecurity, Own{Identities: linked[:1], Linkable: providers}, Data{Errors: []string{"last_way_in"}})},
		{"me-security-sign-in-again", MeSecurity, own(MeSecurity, Own{Identities: linked, Linkable: providers, SignInAgain: true, Again: providers}, Data{Errors: []string{"sign_in_again"}})},
		{"me/factors", MeFactors, own(MeFactors, Own{MayAdd: true}, Data{Home: home})},
		{"me-factors-in-force", MeFactors, own(MeFactors, Own{Notice: "factor_added", MayAdd: true, Factors: apps}, Data{})},
		{"me-factors-with-passkeys", MeFactors, own(MeFactors, Own{Notice: "passkey_added", MayAdd: true, MayAddPasskey: true, Factors: keys}, Data{Passkey: &Passkey{Accepted: "{}"}})},
		{"me-factors-new-passkey", MeFactors, own(MeFactors, Own{Asked: "passkey_add", ProofDue: true, MayAddPasskey: true}, Data{Passkey: &Passkey{Options: "{}"}})},
		{"me-factors-bad-passkey", MeFactors, own(MeFactors, Own{Asked: "passkey_add", MayAddPasskey: true}, Data{Errors: []string{"bad_passkey"}, Passkey: &Passkey{Options: "{}"}})},
		{"me-factors-not-offered", MeFactors, own(MeFactors, Own{Factors: apps}, Data{Errors: []string{"factor_not_offered"}})},
		{"me-factors-sign-in-again", MeFactors, own(MeFactors, Own{Factors: keys, SignInAgain: true}, Data{Errors: []string{"sign_in_again"}})},
		{"me-factors-begin", MeFactors, own(MeFactors, Own{Asked: "factor_begin", ProofDue: true}, Data{})},
		{"me-factors-enrol", MeFactors, own(MeFactors, Own{Enrolment: exampleEnrolment}, Data{})},
		{"me-factors-wrong-code", MeFactors, own(MeFactors, Own{Enrolment: exampleEnrolment, ProofDue: true}, Data{Fields: map[string]string{"code": "invalid"}})},
		{"me-factors-proof-due", MeFactors, own(MeFactors, Own{Enrolment: &Enrolment{ID: exampleEnrolment.ID}, ProofDue: true}, Data{Fields: map[string]string{"current_password": "required"}})},
		{"me-factors-codes", MeFactors, own(MeFactors, Own{Codes: exampleCodes}, Data{})},
		{"me-factors-remove", MeFactors, own(MeFactors, Own{Asked: "factor_remove", Factor: apps[0].ID, Factors: apps}, Data{})},
		{"me-factors-required", MeFactors, own(MeFactors, Own{Asked: "factor_remove", Factor: apps[0].ID, Factors: apps}, Data{Errors: []string{"factor_required"}})},
		{"me-factors-renew", MeFactors, own(MeFactors, Own{Asked: "codes_renew", ProofDue: true, Factors: apps}, Data{Fields: map[string]string{"current_password": "invalid"}})},
		{"me/sessions", MeSessions, own(MeSessions, Own{Browsers: browsers, Sessions: sessions, Next: sessions[1].ID}, Data{Home: home})},
		{"me-sessions-older", MeSessions, own(MeSessions, Own{Sessions: sessions[1:], Later: true}, Data{})},
		{"me-sessions-none", MeSessions, own(MeSessions, Own{Notice: "others_ended", Browsers: browsers[:1]}, Data{})},
		{"me-sessions-ended", MeSessions, own(MeSessions, Own{Notice: "session_ended", Browsers: browsers, Sessions: sessions}, Data{})},
		{"me/apps", MeApps, own(MeApps, Own{Apps: []App{
			{ID: "notes", Name: "Acme Notes", Scopes: []string{"openid", "profile", "email", "notes:read", "offline_access"}, Since: at},
			{ID: "mail", Name: "Acme Mail", Scopes: []string{}, Since: at.Add(-900 * time.Hour)},
		}}, Data{Home: home})},
		{"me-apps-none", MeApps, own(MeApps, Own{Notice: "app_withdrawn"}, Data{})},
		{"me/data", MeData, own(MeData, Own{Account: "cs_am_x"}, Data{Home: home})},
		{"me-data-proof-due", MeData, own(MeData, Own{Account: "cs_am_x", ProofDue: true}, Data{})},
		{"me-data-refused", MeData, own(MeData, Own{Account: "cs_am_x", ProofDue: true}, Data{
			Fields: map[string]string{"current_password": "required", "confirm": "required"},
		})},
	}
}
