package clients_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/zitadel/oidc/v3/pkg/client/rp"
	"github.com/zitadel/oidc/v3/pkg/client/rs"
	httphelper "github.com/zitadel/oidc/v3/pkg/http"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"golang.org/x/oauth2"
)

// zitadelClient is an application made with the relying party of zitadel/oidc: a
// website with /login and /callback, which are the library's own handlers.
type zitadelClient struct {
	rp.RelyingParty
	url string
}

// zitadelAnswer is what the website shows at /callback.
type zitadelAnswer struct {
	Tokens *oidc.Tokens[*oidc.IDTokenClaims]
	Info   *oidc.UserInfo
	State  string
}

type nonceKey struct{}

func (s *server) zitadelClient(t *testing.T, id string, style oauth2.AuthStyle, params ...rp.URLParamOpt) *zitadelClient {
	t.Helper()
	mux := http.NewServeMux()
	site := httptest.NewServer(mux)
	t.Cleanup(site.Close)
	// The library's own switch for http on localhost is for its cookies.
	cookies := httphelper.NewCookieHandler([]byte(rand.Text()), []byte(rand.Text()[:16]), httphelper.WithUnsecure())
	options := []rp.Option{
		rp.WithAuthStyle(style), rp.WithSigningAlgsFromDiscovery(),
		rp.WithVerifierOpts(rp.WithNonce(func(ctx context.Context) string {
			nonce, _ := ctx.Value(nonceKey{}).(string)
			return nonce // a refreshed ID token has none
		})),
	}
	secret := clientSecret
	switch id {
	case "spa":
		secret = ""
		options = append(options, rp.WithPKCE(cookies))
	case "legacy":
		options = append(options, rp.WithCookieHandler(cookies))
	default:
		options = append(options, rp.WithPKCEFromDiscovery(cookies))
	}
	scopes := []string{"openid", "profile", "email", "offline_access"}
	if slices.Contains(algorithms, id) {
		scopes = []string{"openid"}
	}
	party, err := rp.NewRelyingPartyOIDC(t.Context(), s.issuer, id, secret, site.URL+"/callback", scopes, options...)
	if err != nil {
		t.Fatalf("discovery: %v", err)
	}
	nonce := rand.Text()
	mux.Handle("/login", rp.AuthURLHandler(rand.Text, party, append(params, rp.WithURLParam("nonce", nonce))...))
	finish := rp.CodeExchangeHandler(rp.UserinfoCallback(
		func(w http.ResponseWriter, _ *http.Request, tokens *oidc.Tokens[*oidc.IDTokenClaims], state string, _ rp.RelyingParty, info *oidc.UserInfo) {
			json.NewEncoder(w).Encode(zitadelAnswer{tokens, info, state})
		}), party)
	mux.HandleFunc("/callback", func(w http.ResponseWriter, r *http.Request) {
		finish(w, r.WithContext(context.WithValue(r.Context(), nonceKey{}, nonce)))
	})
	return &zitadelClient{party, site.URL}
}

// signIn signs the user in at the website.
func (c *zitadelClient) signIn(t *testing.T, p *person) *oidc.Tokens[*oidc.IDTokenClaims] {
	t.Helper()
	status, body := c.login(t, p)
	var answer zitadelAnswer
	if err := json.Unmarshal([]byte(body), &answer); err != nil || status != http.StatusOK {
		t.Fatalf("the website answers %d %s", status, body)
	}
	if answer.Info.Subject != p.s.subject || answer.Tokens.IDTokenClaims.Subject != p.s.subject {
		t.Errorf("userinfo is about %q, the ID token about %q, want %q", answer.Info.Subject, answer.Tokens.IDTokenClaims.Subject, p.s.subject)
	}
	return answer.Tokens
}

// login goes to the website's /login, and passes the response back to the website.
func (c *zitadelClient) login(t *testing.T, p *person) (status int, body string) {
	t.Helper()
	end := p.do(p.visit(c.url + "/login"))
	b, err := io.ReadAll(end.Body)
	if err != nil {
		t.Fatal(err)
	}
	return end.StatusCode, string(b)
}

func TestRealClientZitadelCode(t *testing.T) {
	s := serve(t)
	s.codeClients(t)
	for _, client := range []string{"spa", "partner", "legacy"} {
		for name, style := range styles {
			t.Run(client+"/"+name, func(t *testing.T) {
				c := s.zitadelClient(t, client, style)
				tokens := c.signIn(t, s.person(t))
				refreshed, err := rp.RefreshTokens[*oidc.IDTokenClaims](t.Context(), c, tokens.RefreshToken, "", "")
				if err != nil {
					t.Fatalf("refresh: %v", err)
				}
				if refreshed.IDTokenClaims == nil || refreshed.IDTokenClaims.Subject != s.subject || refreshed.RefreshToken == tokens.RefreshToken {
					t.Errorf("refreshed: %+v, want a new refresh token, and an ID token about %q", refreshed, s.subject)
				}
				if err := rp.RevokeToken(t.Context(), c, refreshed.RefreshToken, "refresh_token"); err != nil {
					t.Fatalf("revoke: %v", err)
				}
				if _, err := rp.RefreshTokens[*oidc.IDTokenClaims](t.Context(), c, refreshed.RefreshToken, "", ""); err == nil {
					t.Error("a revoked refresh token is still good")
				}
			})
		}
	}
}

func TestRealClientZitadelFormPostAndRefusals(t *testing.T) {
	s := serve(t)
	p := s.person(t)
	silent := s.zitadelClient(t, "spa", oauth2.AuthStyleInParams, rp.WithPromptURLParam("none"))
	if status, body := silent.login(t, p); status != http.StatusInternalServerError || !strings.HasPrefix(body, "login_required: ") {
		t.Errorf("without a sign-in the website answers %d %q, want the library's own words for login_required", status, body)
	}
	s.zitadelClient(t, "spa", oauth2.AuthStyleInParams, rp.WithResponseModeURLParam("form_post")).signIn(t, p)
	silent.signIn(t, p)
}

// The library posts its request itself, without the user's cookies, and redirects the
// browser to where the response leads: to the server again, which then gets the cookies.
func TestRealClientZitadelEndSession(t *testing.T) {
	s := serve(t)
	s.codeClients(t)
	p := s.person(t)
	c := s.zitadelClient(t, "partner", oauth2.AuthStyleInHeader)
	tokens := c.signIn(t, p)
	to, err := rp.EndSession(t.Context(), c, tokens.IDToken, signedOut, "the state", "", nil)
	if err != nil {
		t.Fatalf("end session: %v", err)
	}
	if got, want := p.visit(to.String()).URL.String(), signedOut+"?state=the%20state"; got != want {
		t.Errorf("the browser ends up at %s, want %s", got, want)
	}
	// The session has offline_access, and outlives the sign-in (OpenID Connect Core section 11).
	if _, err := rp.RefreshTokens[*oidc.IDTokenClaims](t.Context(), c, tokens.RefreshToken, "", ""); err != nil {
		t.Errorf("a session with offline_access has ended: %v", err)
	}
	if status, body := s.zitadelClient(t, "spa", oauth2.AuthStyleInParams, rp.WithPromptURLParam("none")).login(t, p); !strings.HasPrefix(body, "login_required: ") {
		t.Errorf("still signed in to the browser: the next website answers %d %s", status, body)
	}
}

func TestRealClientZitadelClientCredentialsAndIntrospection(t *testing.T) {
	s := serve(t)
	api, err := rs.NewResourceServerClientCredentials(t.Context(), s.issuer, "api", "dev-secret")
	if err != nil {
		t.Fatalf("discovery: %v", err)
	}
	for name, style := range styles {
		t.Run(name, func(t *testing.T) {
			party, err := rp.NewRelyingPartyOIDC(t.Context(), s.issuer, "api", "dev-secret", "", []string{"read"}, rp.WithAuthStyle(style))
			if err != nil {
				t.Fatalf("discovery: %v", err)
			}
			token, err := rp.ClientCredentials(t.Context(), party, nil)
			if err != nil {
				t.Fatalf("client credentials grant: %v", err)
			}
			own, err := rs.Introspect[*oidc.IntrospectionResponse](t.Context(), api, token.AccessToken)
			if err != nil || !own.Active || own.ClientID != "api" || !slices.Equal(own.Scope, []string{"read"}) {
				t.Errorf("its own token: %+v, %v", own, err)
			}
		})
	}
	tokens := s.zitadelClient(t, "spa", oauth2.AuthStyleInParams).signIn(t, s.person(t))
	users, err := rs.Introspect[*oidc.IntrospectionResponse](t.Context(), api, tokens.AccessToken)
	if err != nil || !users.Active || users.Subject != s.subject || users.Username != username || users.TokenType != "Bearer" ||
		!slices.Contains(users.Audience, s.issuer) || users.Expiration == 0 || users.AuthTime != tokens.IDTokenClaims.AuthTime {
		t.Errorf("a user's token: %+v, %v", users, err)
	}
	nonsense, err := rs.Introspect[*oidc.IntrospectionResponse](t.Context(), api, "nonsense")
	if err != nil || nonsense.Active {
		t.Errorf("nonsense: %+v, %v; want inactive", nonsense, err)
	}
}

func TestRealClientZitadelVerifiesAllAlgorithms(t *testing.T) {
	s := serve(t, allAlgorithms)
	s.algorithmClients(t)
	for _, alg := range algorithms {
		t.Run(alg, func(t *testing.T) {
			tokens := s.zitadelClient(t, alg, oauth2.AuthStyleInHeader).signIn(t, s.person(t))
			if tokens.IDTokenClaims.AccessTokenHash == "" { // the library checks it if there is one
				t.Error("there is no at_hash")
			}
		})
	}
}
