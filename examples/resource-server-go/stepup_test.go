package main

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

func TestStepUp(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	signedIn := func(acr string, ago time.Duration) *accessClaims {
		return &accessClaims{ACR: acr, AuthTime: now.Add(-ago).Unix()}
	}
	vault := stepUp{acr: []string{"mfa", "phr"}, maxAge: 5 * time.Minute}
	for _, test := range []struct {
		name   string
		asks   stepUp
		claims *accessClaims
		want   bool
	}{
		{"enough", vault, signedIn("mfa", 0), true},
		{"more", vault, signedIn("phr", 5*time.Minute), true},
		{"a password alone", vault, signedIn("pwd", 0), false},
		{"long ago", vault, signedIn("mfa", 5*time.Minute+time.Second), false},
		{"no user", vault, &accessClaims{}, false},
		{"any age", stepUp{acr: []string{"mfa"}}, signedIn("mfa", time.Hour), true},
		{"any class", stepUp{maxAge: time.Hour}, signedIn("", time.Minute), true},
	} {
		if got := test.asks.meets(test.claims, now); got != test.want {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
	for want, asks := range map[string]stepUp{
		`Bearer error="insufficient_user_authentication", error_description="sign in again, with more", acr_values="mfa phr", max_age="300"`: vault,
		`Bearer error="insufficient_user_authentication", error_description="sign in again, with more", max_age="60"`:                        {maxAge: time.Minute},
	} {
		w := httptest.NewRecorder()
		asks.refuse(w)
		if got := w.Header().Get("WWW-Authenticate"); got != want || w.Code != http.StatusUnauthorized {
			t.Errorf("%d %s, want 401 %s", w.Code, got, want)
		}
	}
}
