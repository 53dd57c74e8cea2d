// Command resource-server-go is an API that accepts Countersign's access tokens. It
// verifies them itself with the published public keys, so it doesn't call the
// authorization server for each request.
//
//	COUNTERSIGN_TOKENS_AUDIENCE=http://localhost:8081 go run ./cmd/countersign serve --dev   # in one terminal
//	go run ./examples/resource-server-go                                                    # in another
//	curl -H "Authorization: Bearer $TOKEN" http://localhost:8081/hello
//
// It uses golang-jwt, the most used JWT library, with keyfunc, which gives it
// the keys of a JWK Set. (go-oidc is the other good choice, but made for ID
// tokens: it doesn't check typ and never drops a revoked key.)
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/MicahParks/keyfunc/v3"
	"github.com/golang-jwt/jwt/v5"
	"golang.org/x/time/rate"
)

func main() {
	issuer := cmp.Or(os.Getenv("ISSUER"), "http://localhost:8080")
	audience := cmp.Or(os.Getenv("AUDIENCE"), "http://localhost:8081")   // the name of this API, which tokens.audience or the client's audiences must have
	scopes := strings.Fields(cmp.Or(os.Getenv("SCOPE"), "profile read")) // any of them opens /hello
	jwksURL := cmp.Or(os.Getenv("JWKS_URL"), issuer+"/.well-known/jwks.json")
	vault := stepUp{strings.Fields(cmp.Or(os.Getenv("ACR"), "mfa")), 5 * time.Minute} // what /vault asks of the sign-in: see stepup.go
	listen := cmp.Or(os.Getenv("LISTEN"), "127.0.0.1:8081")
	origins := strings.Split(cmp.Or(os.Getenv("ORIGINS"), issuer), ",") // origins of pages that may call the API; serve --dev serves a demo app
	cookie := os.Getenv("ACCESS_COOKIE")                                // the name of the cookie in which Countersign sets the access token, if it does (docs/spa.md)

	if audience == issuer {
		log.Fatal("AUDIENCE must be this API's own name: tokens for the issuer are for the authorization server")
	}
	verify, err := newVerifier(context.Background(), jwksURL, issuer, audience)
	if err != nil {
		log.Fatalf("get the public keys (is Countersign running?): %v", err)
	}
	api := http.NewServeMux()
	hello := func(w http.ResponseWriter, claims *accessClaims) {
		if !claims.hasAny(scopes) {
			w.Header().Set("WWW-Authenticate", `Bearer error="insufficient_scope", scope="`+scopes[0]+`"`)
			http.Error(w, "the access token lacks a scope", http.StatusForbidden)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(map[string]string{"subject": claims.Subject, "scope": claims.Scope})
	}
	api.HandleFunc("GET /hello", func(w http.ResponseWriter, r *http.Request) {
		if claims, ok := authenticate(w, r, cookie, verify); ok {
			hello(w, claims)
		}
	})
	// The same for users who have just given a second factor.
	api.HandleFunc("GET /vault", func(w http.ResponseWriter, r *http.Request) {
		switch claims, ok := authenticate(w, r, cookie, verify); {
		case !ok:
		case !vault.meets(claims, time.Now()):
			vault.refuse(w)
		default:
			hello(w, claims)
		}
	})
	ln, err := net.Listen("tcp", listen)
	if err != nil {
		log.Fatal(err)
	}
	log.Printf("listening on http://%s", ln.Addr())
	handler := allowOrigins(api, origins, cookie != "")
	if cookie != "" {
		// Browsers send cookies for requests of any page, so pages of other origins
		// must not be able to change anything.
		protection := http.NewCrossOriginProtection()
		for _, origin := range origins {
			if err := protection.AddTrustedOrigin(origin); err != nil {
				log.Fatal(err)
			}
		}
		handler = protection.Handler(handler)
	}
	srv := &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second}
	log.Fatal(srv.Serve(ln))
}

// allowOrigins lets pages of these origins call the API with an access token (CORS).
// It allows cookies only if the API reads one.
func allowOrigins(api http.Handler, origins []string, cookies bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Vary", "Origin")
		if origin := r.Header.Get("Origin"); slices.Contains(origins, origin) {
			w.Header().Set("Access-Control-Allow-Origin", origin)
			w.Header().Set("Access-Control-Expose-Headers", "WWW-Authenticate")
			if cookies {
				w.Header().Set("Access-Control-Allow-Credentials", "true")
			}
			if r.Method == http.MethodOptions { // a preflight request, which has no token
				w.Header().Set("Access-Control-Allow-Headers", "Authorization")
				w.Header().Set("Access-Control-Max-Age", "600")
				w.WriteHeader(http.StatusNoContent)
				return
			}
		}
		api.ServeHTTP(w, r)
	})
}

// accessClaims are the claims of an access token (RFC 9068 section 2.2) that this
// API uses.
type accessClaims struct {
	jwt.RegisteredClaims
	Scope    string `json:"scope"`
	ACR      string `json:"acr"`       // the class of the user's sign-in
	AuthTime int64  `json:"auth_time"` // when that was, in seconds since 1970
}

// hasAny reports whether the token has one of the scopes.
func (c *accessClaims) hasAny(scopes []string) bool {
	return slices.ContainsFunc(strings.Fields(c.Scope), func(s string) bool { return slices.Contains(scopes, s) })
}

type verifier func(token string) (*accessClaims, error)

// newVerifier returns a function that accepts the issuer's access tokens for
// the audience. Every check is needed: by default golang-jwt accepts any
// algorithm, type, issuer and audience, and tokens that never expire.
func newVerifier(ctx context.Context, jwksURL, issuer, audience string) (verifier, error) {
	failWithoutKeys := false
	keys, err := keyfunc.NewDefaultOverrideCtx(ctx, []string{jwksURL}, keyfunc.Override{
		NoErrorReturnFirstHTTPReq: &failWithoutKeys,
		HTTPTimeout:               5 * time.Second,
		// Countersign publishes a key for longer than its JWKS may be cached (15
		// minutes unless configured) before it signs with it. An API that fetches
		// the JWKS more often than that has each key in time, and drops revoked ones.
		RefreshInterval: 10 * time.Minute,
		// An unknown key id makes the API fetch the keys, but attackers who make up
		// key ids can't make it fetch more often than this, nor wait.
		RefreshUnknownKID: rate.NewLimiter(rate.Every(30*time.Second), 1),
		RateLimitWaitMax:  5 * time.Second,
	})
	if err != nil {
		return nil, err
	}
	parser := jwt.NewParser(
		jwt.WithValidMethods([]string{"ES256", "RS256"}),
		jwt.WithIssuer(issuer),
		jwt.WithAudience(audience),
		jwt.WithExpirationRequired(),
	)
	return func(token string) (*accessClaims, error) {
		var claims accessClaims
		parsed, err := parser.ParseWithClaims(token, &claims, keys.Keyfunc)
		if err != nil {
			return nil, err
		}
		// An ID token is signed with the same keys and must not open an API
		// (RFC 9068 section 4).
		typ, _ := parsed.Header["typ"].(string)
		if strings.TrimPrefix(strings.ToLower(typ), "application/") != "at+jwt" {
			return nil, fmt.Errorf("typ is %q, not an access token's", typ)
		}
		// The API understands no critical headers (RFC 7515 section 4.1.11).
		if _, ok := parsed.Header["crit"]; ok {
			return nil, errors.New("the crit header is not supported")
		}
		if claims.Subject == "" {
			return nil, errors.New("no subject")
		}
		return &claims, nil
	}, nil
}

// accessToken returns the token of a request: from its header, or else from the cookie
// with that name.
func accessToken(r *http.Request, cookie string) (token string, ok bool) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if strings.EqualFold(scheme, "Bearer") {
		return strings.TrimSpace(token), true
	}
	found := r.CookiesNamed(cookie)
	if cookie == "" || len(found) != 1 { // of several, another host of the domain has planted one
		return "", false
	}
	return found[0].Value, true
}

// authenticate returns the claims of the request's token. If there is no valid token, it
// answers the request as RFC 6750 section 3 says.
func authenticate(w http.ResponseWriter, r *http.Request, cookie string, verify verifier) (*accessClaims, bool) {
	token, ok := accessToken(r, cookie)
	if !ok {
		w.Header().Set("WWW-Authenticate", "Bearer")
		http.Error(w, "send an access token", http.StatusUnauthorized)
		return nil, false
	}
	claims, err := verify(token)
	if err != nil {
		log.Printf("refused a token: %v", err) // the reason is only in the log, so that a thief learns nothing
		w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
		http.Error(w, "the access token is not valid", http.StatusUnauthorized)
		return nil, false
	}
	return claims, true
}
