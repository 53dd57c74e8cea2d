package oauth

import (
	"net/url"
	"slices"
	"strings"
)

// maxResources bounds how many resources one request names.
const maxResources = 10

// ParseResources reads resource parameters (RFC 8707 section 2): absolute URIs without
// a fragment. What else is wrong with one is for the client's audiences to say. Those
// that are repeated count once. Errors are *Error.
func ParseResources(values []string) ([]string, error) {
	var resources []string
	for _, value := range values {
		u, err := url.Parse(value)
		if err != nil || !u.IsAbs() || strings.Contains(value, "#") {
			return nil, Refuse(InvalidTarget, "resource must be an absolute URI without a fragment")
		}
		if !slices.Contains(resources, value) {
			resources = append(resources, value)
		}
	}
	if len(resources) > maxResources {
		return nil, Refuse(InvalidTarget, "resource is there too often")
	}
	return resources, nil
}
