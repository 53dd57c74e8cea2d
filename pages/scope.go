package pages

// A scope is something that an application asks for. If there are no words for it, the
// page shows its name.
type scope struct {
	Words string
	Name  string
}

// Wishes returns the scopes that the application asks for.
func (v view) Wishes() ([]scope, error) {
	var all []scope
	for _, name := range v.Scopes {
		if _, there := words["scope."+name]; !there {
			all = append(all, scope{Name: name})
			continue
		}
		s, err := v.Say("scope." + name)
		if err != nil {
			return nil, err
		}
		all = append(all, scope{Words: s})
	}
	return all, nil
}
