// Package openapi is the OpenAPI 3.1 document of all that we serve over HTTP. It is
// openapi.json, written by hand; tests of the server hold it against the routes that
// there are, and against what they answer.
package openapi

import (
	_ "embed"
	"strings"
)

//go:embed openapi.json
var document string

// The issuer that the file has. It has a path, to show where that goes.
const (
	origin = "https://auth.example.com"
	path   = "/base"
)

// Document is the document of an issuer, whose path may be empty.
func Document(issuer, issuerPath string) []byte {
	const inserted = "/.well-known/oauth-authorization-server"
	return []byte(strings.NewReplacer(
		origin+path, issuer,
		origin, strings.TrimSuffix(issuer, issuerPath),
		inserted+path, inserted+issuerPath,
	).Replace(document))
}
