package api_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/uuid"

	"countersign/accounts"
	"countersign/api"
	"countersign/audit"
	"countersign/clients"
	"countersign/consents"
	"countersign/ids"
	"countersign/keys"
	"countersign/oauth"
	"countersign/tokens"
)

var (
	userID    = ids.User(uuid.MustParse("01a220a2-1cf2-7812-aed6-fbbd87b5b301"))
	sessionID = ids.Session(uuid.MustParse("01a220a2-1d65-78b3-9605-e7fbfd0b5bcb"))
	seoul     = time.FixedZone("KST", 9*60*60)
	made      = time.Date(2026, 3, 1, 8, 0, 0, 123e6, seoul)
	later     = made.Add(time.Hour)
)

// Programs rely on each member's name and form. There must be no other members: a view
// must not reveal a record's secret.
func TestRecordsInJSON(t *testing.T) {
	user := accounts.User{
		ID: userID, Username: "alice", Email: "a@example.com", EmailVerified: true, Roles: []string{"admin"},
		PasswordHash: "$argon2id$", Epoch: 3, DisabledAt: later, CreatedAt: made, UpdatedAt: later,
	}
	client := clients.Client{
		ID: "app", SecretHash: "digest", Declared: true, CreatedAt: made, UpdatedAt: later,
		Settings: clients.Settings{
			Name: "App", FirstParty: true, Grants: []string{"password"},
			RedirectURIs: []string{"https://a.example/cb"}, PostLogoutRedirectURIs: []string{"https://a.example/"},
			Origins: []string{"https://a.example"}, Scopes: []string{"openid"}, Audiences: []string{"https://api.example"},
			MayIntrospect: true, RequirePKCE: true, RequireACR: "mfa", IDTokenAlg: "ES256", ClaimsInIDToken: true, AccessTokenType: "JWT", AccessTokenAlg: "RS256",
		},
	}
	told := api.DescribeClient(client)
	told.Secret = "cs_secret_x"
	session := tokens.Session{
		ID: sessionID, UserID: userID, ClientID: "app", Scopes: oauth.Scopes{"openid", "email"}, Counter: 7, AuthTime: made,
		CreatedAt: made, LastUsedAt: later, ExpiresAt: later.Add(time.Hour), Device: "Firefox", LoginID: ids.Login(userID), Roles: []string{"admin"},
	}
	event := audit.Record{Number: 5, Event: audit.Event{
		Time: made, Kind: audit.SessionCreated, UserID: userID, ClientID: "app", SessionID: sessionID, KeyID: "k1", Address: "192.0.2.1", RequestID: "R1",
	}}
	const userMembers = `"id":"01a220a2-1cf2-7812-aed6-fbbd87b5b301","username":"alice","email":"a@example.com","email_verified":true,` +
		`"roles":["admin"],"disabled":true,"created_at":"2026-02-28T23:00:00Z"`
	const clientMembers = `"id":"app","name":"App","public":false,"first_party":true,"grants":["password"],"scopes":["openid"],` +
		`"audiences":["https://api.example"],"redirect_uris":["https://a.example/cb"],"post_logout_redirect_uris":["https://a.example/"],` +
		`"origins":["https://a.example"],"may_introspect":true,"require_pkce":true,"require_acr":"mfa","id_token_alg":"ES256","claims_in_id_token":true,"access_token_typ":"JWT","access_token_alg":"RS256","declared":true,` +
		`"created_at":"2026-02-28T23:00:00Z","updated_at":"2026-03-01T00:00:00Z"`
	const sessionMembers = `"id":"01a220a2-1d65-78b3-9605-e7fbfd0b5bcb","user_id":"01a220a2-1cf2-7812-aed6-fbbd87b5b301","client_id":"app",` +
		`"scope":"openid email","created_at":"2026-02-28T23:00:00Z","last_used_at":"2026-03-01T00:00:00Z",` +
		`"expires_at":"2026-03-01T01:00:00Z","device":"Firefox"`
	for name, c := range map[string]struct {
		view any
		want string
	}{
		"user":              {api.DescribeUser(user), `{` + userMembers + `}`},
		"user with profile": {api.UserWithProfile{User: api.DescribeUser(user), Factors: []api.Factor{}, Profile: accounts.Profile{Name: "Alice"}}, `{` + userMembers + `,"factors":[],"profile":{"name":"Alice"}}`},
		"bare user": {api.DescribeUser(accounts.User{ID: userID, Username: "bob", CreatedAt: made}),
			`{"id":"01a220a2-1cf2-7812-aed6-fbbd87b5b301","username":"bob","email_verified":false,"roles":[],"disabled":false,"created_at":"2026-02-28T23:00:00Z"}`},
		"client":            {api.DescribeClient(client), `{` + clientMembers + `}`},
		"client and secret": {told, `{` + clientMembers + `,"client_secret":"cs_secret_x"}`},
		"bare client": {api.DescribeClient(clients.Client{ID: "app", CreatedAt: made, UpdatedAt: made, Settings: clients.Settings{Name: "App", Public: true}}),
			`{"id":"app","name":"App","public":true,"first_party":false,"grants":[],"scopes":[],"audiences":[],"redirect_uris":[],` +
				`"post_logout_redirect_uris":[],"origins":[],"may_introspect":false,"require_pkce":true,"claims_in_id_token":false,"declared":false,` +
				`"created_at":"2026-02-28T23:00:00Z","updated_at":"2026-02-28T23:00:00Z"}`},
		"session":     {api.DescribeSession(session), `{` + sessionMembers + `}`},
		"own session": {api.OwnSession{Session: api.DescribeSession(session), Current: true}, `{` + sessionMembers + `,"current":true}`},
		"consent": {api.DescribeConsent(consents.Consent{ID: ids.Consent(sessionID), UserID: userID, ClientID: "app", ClientName: "App", Scopes: []string{"openid", "email"}, CreatedAt: made, UpdatedAt: later}),
			`{"client_id":"app","client_name":"App","scope":"openid email","created_at":"2026-02-28T23:00:00Z","updated_at":"2026-03-01T00:00:00Z"}`},
		"key": {api.DescribeKey(keys.Info{KID: "k1", Alg: "ES256", State: keys.StateNext, PublishedFrom: made, SignsFrom: later, SignsUntil: later.Add(time.Hour), PublishedUntil: later.Add(2 * time.Hour)}),
			`{"kid":"k1","alg":"ES256","state":"next","published_from":"2026-02-28T23:00:00.123Z","signs_from":"2026-03-01T00:00:00.123Z",` +
				`"signs_until":"2026-03-01T01:00:00.123Z","published_until":"2026-03-01T02:00:00.123Z"}`},
		"event": {api.DescribeEvent(event),
			`{"time":"2026-02-28T23:00:00Z","kind":"session.created","user_id":"01a220a2-1cf2-7812-aed6-fbbd87b5b301","client_id":"app",` +
				`"session_id":"01a220a2-1d65-78b3-9605-e7fbfd0b5bcb","kid":"k1","address":"192.0.2.1","request_id":"R1"}`},
		"event for its user": {api.DescribeEvent(event).ForUser(),
			`{"time":"2026-02-28T23:00:00Z","kind":"session.created","client_id":"app","address":"192.0.2.1"}`},
		"bare event": {api.DescribeEvent(audit.Record{Event: audit.Event{Time: made, Kind: audit.KeyCreated}}), `{"time":"2026-02-28T23:00:00Z","kind":"key.created"}`},
		"letter": {api.DescribeLetter(accounts.Letter{
			ID: ids.Letter(userID), Kind: accounts.ResetPassword, UserID: userID, Address: "alice@example.com", Epoch: 3, CreatedAt: made, ExpiresAt: later,
			DueAt: later, Attempts: 2, LastError: "451 busy", Username: "alice",
		}), `{"state":"waiting","kind":"reset_password","user_id":"01a220a2-1cf2-7812-aed6-fbbd87b5b301","to":"a...@example.com","since":"2026-02-28T23:00:00Z",` +
			`"expires_at":"2026-03-01T00:00:00Z","attempts":2,"next_at":"2026-03-01T00:00:00Z","last_error":"451 busy"}`},
		"no records":   {api.List(nil, api.DescribeUser), `[]`},
		"some records": {api.List([]accounts.User{user, user}, api.DescribeUser), `[{` + userMembers + `},{` + userMembers + `}]`},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := json.Marshal(c.view)
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}
