package oauth

import (
	"errors"
	"net/url"
	"slices"
	"strings"
)

const maxAudience = 512 // bytes

// CheckAudience returns what is wrong with an audience of access tokens, or nil. RFC
// 7519 section 4.1.3 allows any text. We refuse commas, which separate the items of a
// list in one line.
func CheckAudience(audience string) error {
	switch {
	case audience == "" || len(audience) > maxAudience:
		return errors.New("must have 1 to 512 characters")
	case strings.ContainsFunc(audience, func(r rune) bool { return r <= ' ' || r > '~' || r == ',' }):
		return errors.New("must be printable ASCII without spaces and commas, such as https://api.example.com")
	}
	return nil
}

// maxResources bounds how many resources one request names.
const maxResources = 10

// ParseResources reads resource parameters (RFC 8707 section 2): absolute URIs without
// a fragment. The client's audiences decide which of them it may name. A repeated one
// counts once. Errors are *Error.
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
		return nil, Refuse(InvalidTarget, "resource is repeated too often")
	}
	return resources, nil
}
