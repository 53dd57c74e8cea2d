package configs_test

import (
	"strings"
	"testing"

	"countersign/configs"
	"countersign/upstreams"
)

func TestProvidersHaveTheirDefaults(t *testing.T) {
	c := load(t, configs.Source{File: write(t, "upstreams:\n- {id: google, preset: google, client_id: x, client_secret_file: /run/x}\n- {id: work, issuer: 'https://id.example.com', client_id: y, signup: false, link_by_email: verified}\n")})
	if len(c.Upstreams) != 2 {
		t.Fatalf("%d providers", len(c.Upstreams))
	}
	if u := c.Upstreams[0]; !u.Signup || u.LinkByEmail != upstreams.LinkNever || u.ClientSecretFile != "/run/x" {
		t.Errorf("google: %+v", u)
	}
	if u := c.Upstreams[1]; u.Signup || u.LinkByEmail != upstreams.LinkVerified {
		t.Errorf("work: %+v", u)
	}
}

// Each message names the key, and the rule.
func TestWrongProvidersAreNamed(t *testing.T) {
	const right = "client_id: x, client_secret_file: /run/x"
	for item, want := range map[string]string{
		"{preset: google, " + right + "}":                                                          "upstreams[0].id: is missing",
		"{id: Google, preset: google, " + right + "}":                                              "upstreams[0].id: must be 1 to 32 of a-z",
		"{id: a, preset: gogle, " + right + "}":                                                    "upstreams[0].preset: must be one of apple, discord",
		"{id: a, " + right + "}":                                                                   "upstreams[0].issuer: is missing",
		"{id: a, preset: github, issuer: 'https://github.com', " + right + "}":                     "github is no OpenID provider",
		"{id: a, preset: google, client_id: x}":                                                    "upstreams[0].client_secret_file: is missing",
		"{id: a, preset: google, client_secret_file: /run/x}":                                      "upstreams[0].client_id: is missing",
		"{id: a, preset: apple, " + right + "}":                                                    "upstreams[0].team_id: is missing",
		"{id: a, issuer: 'http://localhost:1', " + right + "}":                                     "upstreams[0].issuer: must be an https URL",
		"{id: a, issuer: 'https://id.example.com/?x', " + right + "}":                              "upstreams[0].issuer: must not have a query",
		"{id: a, issuer: 'https://id.example.com', scopes: [email], " + right + "}":                "upstreams[0].scopes: must have openid",
		"{id: a, issuer: 'https://id.example.com', link_by_email: always, " + right + "}":          "upstreams[0].link_by_email: must be never or verified",
		"{id: a, issuer: 'https://id.example.com', emails_endpoint: 'https://a.b', " + right + "}": "upstreams[0].emails_endpoint: is for another preset",
		"{id: a, issuer: 'https://id.example.com', secret: s3cret, " + right + "}":                 "upstreams[0].secret: unknown key",
		"{id: a, preset: google, " + right + "}\n- {id: a, preset: line, " + right + "}":           `upstreams[1].id: "a" is the id of upstreams[0] too`,
	} {
		_, err := configs.Load(configs.Source{File: write(t, "upstreams:\n- "+item+"\n")})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", item, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: the message has the secret", item)
		}
	}
	if _, err := configs.Load(configs.Source{Dev: true, File: write(t, "upstreams:\n- {id: a, issuer: 'http://localhost:1', client_id: x}\n")}); err != nil {
		t.Errorf("with --dev: %v", err)
	}
}
