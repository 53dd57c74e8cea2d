package main

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// stepUp is what an endpoint asks of the sign-in that a token comes of (RFC 9470).
type stepUp struct {
	acr    []string      // one of which it must come to, the preferred one first; none: any will do
	maxAge time.Duration // since the user last signed in; 0: any
}

// meets reports whether the sign-in of a token is good enough.
func (s *stepUp) meets(claims *accessClaims, now time.Time) bool {
	if len(s.acr) > 0 && !slices.Contains(s.acr, claims.ACR) {
		return false
	}
	return s.maxAge == 0 || now.Sub(time.Unix(claims.AuthTime, 0)) <= s.maxAge
}

// refuse answers a request whose token has too little. The application sends its user to the
// authorization endpoint with these acr_values and this max_age, and calls again with the
// token that it gets then (RFC 9470 sections 3 and 4).
func (s *stepUp) refuse(w http.ResponseWriter) {
	challenge := `Bearer error="insufficient_user_authentication", error_description="sign in again, with more"`
	if len(s.acr) > 0 {
		challenge += fmt.Sprintf(`, acr_values="%s"`, strings.Join(s.acr, " "))
	}
	if s.maxAge > 0 {
		challenge += fmt.Sprintf(`, max_age="%d"`, int(s.maxAge.Seconds()))
	}
	w.Header().Set("WWW-Authenticate", challenge)
	http.Error(w, "this needs another sign-in", http.StatusUnauthorized)
}
