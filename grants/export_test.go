package grants

import "net/url"

// These parse bytes that any caller can send.
var (
	ParseBasic = parseBasic
	ParseForm  = func(body string) (url.Values, error) { return parseForm(body, shared) }
)

// Add registers a grant.
func (s *Service) Add(g Grant) { s.add(g) }
