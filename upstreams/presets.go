package upstreams

import (
	"context"
	"time"

	"golang.org/x/oauth2"
)

// The names of presets with rules of their own.
const (
	presetApple  = "apple"
	presetGitHub = "github"
)

// A preset is what this server knows about a provider.
type preset struct {
	name   string // that users know
	scopes []string

	issuer string // of an OpenID provider; empty: the next three, and read, are all there is
	authorization, token, userinfo,
	emails string

	style oauth2.AuthStyle // how it takes the client's secret; zero: as its discovery document says
	// symmetric says that it signs ID tokens with the client's secret (HS256).
	symmetric bool
	// tenants says that its discovery document has {tenantid} in the issuer, which each ID
	// token fills in with its claim tid.
	tenants bool
	// unverified says that no address of it counts as verified, whatever its ID tokens say.
	unverified bool
	// formPost says that it answers with a form that the browser posts.
	formPost bool
	// again are the parameters that have it ask its user anew. Each provider refuses some
	// values of prompt, and some only have the user choose an account.
	again [][2]string
	// timed says that its ID token then has to say when the user has given a proof.
	timed bool
	read  func(context.Context, time.Time, *provider, *found, *answered) (Claims, error)
}

// openIDScopes are asked for at OpenID providers.
var openIDScopes = []string{"openid", "profile", "email"}

var (
	anew       = [][2]string{{"prompt", "login"}}
	chooseAnew = [][2]string{{"prompt", "select_account"}}
	// With max_age each OpenID provider has to name the time of the proof (OpenID Connect Core
	// section 2, auth_time).
	anyOpenID = preset{scopes: openIDScopes, again: [][2]string{{"prompt", "login"}, {"max_age", "0"}}, timed: true, read: readOpenID}
	presets   = map[string]preset{
		"google": {
			name: "Google", scopes: openIDScopes, issuer: "https://accounts.google.com", style: oauth2.AuthStyleInParams, again: chooseAnew, read: readOpenID,
		},
		"microsoft": {
			name: "Microsoft", scopes: openIDScopes, issuer: "https://login.microsoftonline.com/common/v2.0",
			style: oauth2.AuthStyleInParams, tenants: true, unverified: true, again: anew, read: readOpenID,
		},
		presetApple: {
			name: "Apple", scopes: []string{"openid", "name", "email"}, issuer: "https://appleid.apple.com",
			style: oauth2.AuthStyleInParams, formPost: true, read: readApple,
		},
		"line": {
			name: "LINE", scopes: openIDScopes, issuer: "https://access.line.me", style: oauth2.AuthStyleInParams, symmetric: true, unverified: true, again: anew, read: readOpenID,
		},
		presetGitHub: {
			name: "GitHub", scopes: []string{"read:user", "user:email"},
			authorization: "https://github.com/login/oauth/authorize", token: "https://github.com/login/oauth/access_token",
			userinfo: "https://api.github.com/user", emails: "https://api.github.com/user/emails",
			style: oauth2.AuthStyleInParams, again: chooseAnew, read: readGitHub,
		},
		// What Kakao and Naver tell is chosen in their consoles, and a scope that isn't switched on
		// there is an error.
		"kakao": {
			name: "Kakao", authorization: "https://kauth.kakao.com/oauth/authorize", token: "https://kauth.kakao.com/oauth/token",
			userinfo: "https://kapi.kakao.com/v2/user/me", style: oauth2.AuthStyleInParams, again: anew, read: readKakao,
		},
		"naver": {
			name: "Naver", authorization: "https://nid.naver.com/oauth2.0/authorize", token: "https://nid.naver.com/oauth2.0/token",
			userinfo: "https://openapi.naver.com/v1/nid/me", style: oauth2.AuthStyleInParams,
			again: [][2]string{{"auth_type", "reauthenticate"}}, read: readNaver,
		},
		"discord": {
			name: "Discord", scopes: []string{"identify", "email"},
			authorization: "https://discord.com/oauth2/authorize", token: "https://discord.com/api/oauth2/token",
			userinfo: "https://discord.com/api/users/@me", style: oauth2.AuthStyleInParams,
			again: [][2]string{{"prompt", "consent"}}, read: readDiscord,
		},
	}
)
