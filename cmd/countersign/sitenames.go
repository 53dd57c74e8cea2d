package main

import (
	"net/url"
	"strings"

	"golang.org/x/net/publicsuffix"
)

// siteNames returns the words by which users know the site of an issuer, which make
// poor passwords there: for https://auth.example.co.uk its host, the registered domain
// example.co.uk, and example.
func siteNames(issuer string) []string {
	u, err := url.Parse(issuer)
	if err != nil || u.Hostname() == "" {
		return nil
	}
	names := []string{u.Hostname()}
	if domain, err := publicsuffix.EffectiveTLDPlusOne(u.Hostname()); err == nil {
		name, _, _ := strings.Cut(domain, ".")
		names = append(names, domain, name)
	}
	return names
}
