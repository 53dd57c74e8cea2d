package upstreams

import (
	"cmp"
	"context"
	"crypto/ecdsa"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"countersign/input"
	"countersign/secrecy"
)

// provider is one of the settings, and what has been found out about it.
type provider struct {
	Settings
	preset preset
	secret secrecy.Text
	apple  *ecdsa.PrivateKey // signs client secrets
	client *http.Client
	read   func(context.Context, time.Time, *provider, *found, *answered) (Claims, error)

	calls chan struct{} // bounds calls under way, so that a slow provider holds up few callers

	mu    sync.Mutex
	found *found // nil: nothing yet
	at    time.Time
}

// found is where a provider is reached, and how its answers are checked.
type found struct {
	issuer    string
	endpoint  oauth2.Endpoint
	userinfo  string
	verifier  *oidc.IDTokenVerifier // nil: no OpenID provider
	issuerDue bool                  // each answer names the issuer (RFC 9207)
}

// answered is what a provider has answered.
type answered struct {
	*request
	values url.Values // at the callback
	token  *oauth2.Token
	client *http.Client
}

// mostCalls is how many callers wait for one provider at a time.
const mostCalls = 64

func newProvider(d Declared, client *http.Client) (*provider, error) {
	p := &provider{Settings: d.Settings, preset: presets[d.Preset], secret: d.Secret, client: client, calls: make(chan struct{}, mostCalls)}
	if d.Preset == "" {
		p.preset = anyOpenID
	}
	p.read = p.preset.read
	p.Issuer = cmp.Or(p.Issuer, p.preset.issuer)
	if d.Preset == presetApple {
		var err error
		if p.apple, err = parseKey(d.Secret); err != nil {
			return nil, err
		}
	}
	return p, nil
}

func (p *provider) openID() bool { return p.Issuer != "" }

// refreshAfter is how long what was found out about a provider counts. After that it is
// found out anew; if that fails, the old still counts.
const refreshAfter = time.Hour

// discover returns what there is to know about the provider. It is found out when a user
// first needs it, so that the server starts while a provider is down.
func (p *provider) discover(ctx context.Context, now time.Time) (*found, error) {
	p.mu.Lock()
	had, at := p.found, p.at
	p.mu.Unlock()
	if had != nil && now.Sub(at) < refreshAfter {
		return had, nil
	}
	done, err := p.call()
	if err != nil {
		if had != nil {
			return had, nil
		}
		return nil, err
	}
	defer done()
	f, err := p.look(ctx)
	if err != nil && had == nil {
		return nil, err
	}
	if err != nil {
		f = had // and the next caller in an hour tries again
	}
	p.mu.Lock()
	p.found, p.at = f, now
	p.mu.Unlock()
	return f, nil
}

// call takes the place of a caller who waits for the provider, until done is called.
func (p *provider) call() (done func(), err error) {
	select {
	case p.calls <- struct{}{}:
		return func() { <-p.calls }, nil
	default:
		return nil, fmt.Errorf("%w: too many wait for it", ErrAway)
	}
}

// look finds everything out.
func (p *provider) look(ctx context.Context) (*found, error) {
	f := &found{
		issuer: p.Issuer, userinfo: cmp.Or(p.UserInfoEndpoint, p.preset.userinfo),
		endpoint: oauth2.Endpoint{
			AuthURL: cmp.Or(p.AuthorizationEndpoint, p.preset.authorization), TokenURL: cmp.Or(p.TokenEndpoint, p.preset.token), AuthStyle: p.style(),
		},
	}
	if !p.openID() {
		u, err := url.Parse(f.userinfo)
		if err != nil {
			return nil, err
		}
		f.issuer = u.Scheme + "://" + u.Host // whose accounts they are
		return f, nil
	}
	keys, algorithms := p.JWKSURI, []string{oidc.RS256}
	if p.AuthorizationEndpoint == "" || p.TokenEndpoint == "" || p.JWKSURI == "" {
		d, err := p.document(ctx)
		if err != nil {
			return nil, err
		}
		f.issuer, f.issuerDue = d.Issuer, d.IssuerDue
		f.endpoint.AuthURL = cmp.Or(f.endpoint.AuthURL, d.Authorization)
		f.endpoint.TokenURL = cmp.Or(f.endpoint.TokenURL, d.Token)
		f.userinfo, keys = cmp.Or(f.userinfo, d.UserInfo), cmp.Or(keys, d.JWKS)
		if f.endpoint.AuthStyle == oauth2.AuthStyleAutoDetect && d.inHeader() {
			f.endpoint.AuthStyle = oauth2.AuthStyleInHeader
		}
		if some := d.algorithms(); len(some) > 0 {
			algorithms = some
		}
	}
	if f.endpoint.AuthStyle == oauth2.AuthStyleAutoDetect { // which would send a code twice
		f.endpoint.AuthStyle = oauth2.AuthStyleInParams
	}
	for _, address := range []string{f.endpoint.AuthURL, f.endpoint.TokenURL, keys} {
		if u, err := url.Parse(address); err != nil || !secure(u, p.dev()) {
			return nil, fmt.Errorf("%w: its document names %.200q, which is no https address", ErrAway, address)
		}
	}
	// The key set outlives the caller, so it has no deadline of the caller's.
	var set oidc.KeySet = oidc.NewRemoteKeySet(oidc.ClientContext(context.WithoutCancel(ctx), p.client), keys)
	if p.preset.symmetric {
		set, algorithms = &secretOrKeys{p.secret, set}, append(algorithms, hs256)
	}
	f.verifier = oidc.NewVerifier(f.issuer, set, &oidc.Config{
		ClientID: p.ClientID, SupportedSigningAlgs: algorithms, SkipIssuerCheck: p.manyTenants(f), // see tenantOf
	})
	return f, nil
}

func (p *provider) dev() bool { return p.client.Transport.(*guard).dev }

// style is how the provider takes the client's secret, if that needs no discovery.
func (p *provider) style() oauth2.AuthStyle {
	if p.secret == "" {
		return oauth2.AuthStyleInParams // the id alone
	}
	return p.preset.style
}

// document is what an OpenID provider says about itself (OpenID Connect Discovery).
type document struct {
	Issuer        string   `json:"issuer"`
	Authorization string   `json:"authorization_endpoint"`
	Token         string   `json:"token_endpoint"`
	UserInfo      string   `json:"userinfo_endpoint"`
	JWKS          string   `json:"jwks_uri"`
	Algorithms    []string `json:"id_token_signing_alg_values_supported"`
	AuthMethods   []string `json:"token_endpoint_auth_methods_supported"`
	IssuerDue     bool     `json:"authorization_response_iss_parameter_supported"`
}

// document reads it. The issuer in it is the one that was asked.
func (p *provider) document(ctx context.Context) (d document, err error) {
	ctx = oidc.ClientContext(ctx, p.client)
	if p.preset.tenants && strings.HasSuffix(p.Issuer, commonTenant) {
		ctx = oidc.InsecureIssuerURLContext(ctx, strings.TrimSuffix(p.Issuer, commonTenant)+anyTenant)
	}
	of, err := oidc.NewProvider(ctx, p.Issuer)
	if err == nil {
		err = of.Claims(&d)
	}
	if err != nil {
		return d, fmt.Errorf("%w: %w", ErrAway, err)
	}
	return d, nil
}

// inHeader reports whether the provider takes HTTP Basic, which is the default.
func (d *document) inHeader() bool {
	return len(d.AuthMethods) == 0 || slices.Contains(d.AuthMethods, "client_secret_basic")
}

// algorithms are those by which ID tokens may be signed: never none, and never the client's
// secret, which is for a preset to say.
func (d *document) algorithms() (some []string) {
	for _, alg := range []string{
		oidc.RS256, oidc.RS384, oidc.RS512, oidc.ES256, oidc.ES384, oidc.ES512, oidc.PS256, oidc.PS384, oidc.PS512, oidc.EdDSA,
	} {
		if slices.Contains(d.Algorithms, alg) {
			some = append(some, alg)
		}
	}
	return some
}

// checkIssuer checks who answers (RFC 9207 section 2.4).
func (f *found) checkIssuer(answer url.Values) error {
	if f.verifier == nil || strings.Contains(f.issuer, anyTenant) {
		return nil // nothing names it: each provider has a callback of its own instead
	}
	if _, there := answer["iss"]; (there || f.issuerDue) && one(answer, "iss") != f.issuer {
		return fmt.Errorf("%w: it is not %s who answers", ErrAnswer, f.issuer)
	}
	return nil
}

// clientSecret returns the secret for a request at a time.
func (p *provider) clientSecret(now time.Time) (string, error) {
	if p.apple != nil {
		return p.appleSecret(now)
	}
	return string(p.secret), nil
}

// bounds of what providers say, in bytes. Package accounts has its own for what it keeps.
const (
	maxSubject = 255 // OpenID Connect Core section 2
	maxEmail   = 254
	maxText    = 256
	maxPicture = 768 // with all others it still fits into a cookie, see Keep
)

// checked returns claims that a page can show, without those that are too long.
func (c Claims) checked() (Claims, error) {
	if c.Subject == "" || len(c.Subject) > maxSubject || !input.Printable(strings.ReplaceAll(c.Subject, " ", "_")) {
		return Claims{}, fmt.Errorf("%w: its subject is empty, too long or not printable", ErrAnswer)
	}
	if len(c.Email) > maxEmail || !input.Printable(c.Email) {
		c.Email = ""
	}
	c.EmailVerified = c.EmailVerified && c.Email != ""
	if len(c.Picture) > maxPicture {
		c.Picture = ""
	}
	for _, text := range []*string{&c.Name, &c.GivenName, &c.FamilyName, &c.Locale} {
		if len(*text) > maxText {
			*text = ""
		}
	}
	return c, nil
}
