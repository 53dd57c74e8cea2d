// Package openapi holds the OpenAPI 3.1 document of everything that the server serves
// over HTTP. openapi.json is written by hand; tests of package server check it against
// the routes and their responses.
package openapi

import (
	_ "embed"
	"strings"
)

//go:embed openapi.json
var document string

// The issuer in the file. It has a path, to show where the path goes.
const (
	origin = "https://auth.example.com"
	path   = "/base"
)

// Document returns the document for an issuer, whose path may be empty.
func Document(issuer, issuerPath string) []byte {
	const inserted = "/.well-known/oauth-authorization-server"
	return []byte(strings.NewReplacer(
		origin+path, issuer,
		origin, strings.TrimSuffix(issuer, issuerPath),
		inserted+path, inserted+issuerPath,
	).Replace(document))
}
