package pages

// A Provider is another provider of accounts, by its id and the name that users know.
type Provider struct{ ID, Name string }

// Of returns the page with another provider to speak of.
func (v view) Of(provider string) view {
	d := *v.Data
	d.Provider = provider
	v.Data = &d
	return v
}
