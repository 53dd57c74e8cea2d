package grants

import "net/url"

// What reads a stranger's bytes.
var (
	ParseBasic = parseBasic
	ParseForm  = func(body string) (url.Values, error) { return parseForm(body, shared) }
)

// Add adds a grant.
func (s *Service) Add(g Grant) { s.add(g) }
