package pages

import (
	"cmp"
	"slices"
	"strings"
)

// A field is an input with its label and what the page says about it.
type field struct {
	Name     string // also its id
	Complete string // what browsers and password managers fill in (HTML, "Autofill")
	Label    string // key
	Hint     string // key; empty: none
	Optional bool
	Free     bool // optional without saying so, and any text
	Lines    bool // may have several

	Keyboard string // inputmode; empty: the usual one
	Value    string
	Wrong    string // what is wrong with it, as a sentence
	Focus    bool   // the browser puts the focus on it
	About    string // ids of the elements that describe it
}

// mailedLink takes the link of a letter from a user whose browser runs no scripts: the
// token is behind the link's #, so the server does not see it. It is shown where the
// token isn't known.
var mailedLink = field{Name: "token", Complete: "off", Label: "mailed_link", Hint: "mailed_link.hint"}

// newPassword is the Complete of a field for a new password.
const newPassword = "new-password"

// fields are the fields of each page.
var fields = map[Name][]field{
	Login: {
		{Name: "username", Complete: "username"},
		{Name: "password", Complete: "current-password", Label: "field.password"},
	},
	Factor: {
		{Name: "code", Complete: "one-time-code", Label: "factor.code", Hint: "factor.code_hint", Keyboard: "numeric"},
	},
	FactorEnrol: {
		{Name: "code", Complete: "one-time-code", Label: "factor.code", Hint: "factor.code_hint", Keyboard: "numeric"},
	},
	Signup: {
		{Name: "username", Complete: "username", Label: "field.username"},
		{Name: "email", Complete: "email", Label: "field.email", Hint: "signup.email_hint", Optional: true},
		{Name: "password", Complete: newPassword, Label: "field.password", Hint: "signup.password_hint"},
	},
	Join: {
		{Name: "username", Complete: "username", Label: "field.username"},
		{Name: "email", Complete: "email", Label: "field.email", Hint: "signup.email_hint", Optional: true},
	},
	Forgot: {
		{Name: "email", Complete: "username"}, // a username is accepted, too
	},
	Reset: {
		mailedLink,
		{Name: "password", Complete: newPassword, Label: "reset.password", Hint: "reset.password_hint"},
	},
	Verify: {mailedLink},
	Again: {
		{Name: "username", Complete: "username"},
	},
}

// Type returns the type of the input. An e-mail address is text: with type=email,
// browsers refuse some valid addresses and rewrite the domains of others.
func (f field) Type() string {
	if strings.HasSuffix(f.Name, "password") {
		return "password"
	}
	return "text"
}

// Secret reports whether the page has a field for a password.
func (v view) Secret() bool {
	return slices.ContainsFunc(v.Inputs(), func(f field) bool { return f.Type() == "password" })
}

// Inputs returns the page's fields, filled in.
func (v view) Inputs() []field {
	if v.Own != nil {
		return v.ownInputs()
	}
	all := slices.Clone(fields[v.Page])
	if v.Token != "" {
		all = slices.DeleteFunc(all, func(f field) bool { return f.Name == mailedLink.Name })
	}
	if v.joins() {
		all = slices.DeleteFunc(all, func(f field) bool { return v.need(f.Name) == "none" })
	}
	focus := -1
	for i := range all {
		f := &all[i]
		switch f.Name {
		case "code":
			if v.Recovery {
				f.Complete, f.Label, f.Hint, f.Keyboard = "off", "factor.recovery", "factor.recovery_hint", ""
			}
		case "username":
			f.Value = v.Username
			if v.Page == Login && v.Passkey != nil {
				f.Complete = "username webauthn" // browsers offer passkeys there
			}
			if !v.joins() {
				f.Label = "field." + v.names()
				if v.names() != "username" {
					f.Keyboard = "email" // which has an @ on phones
				}
			}
		case "email":
			f.Value, f.Keyboard = v.Email, "email"
			if v.Page == Forgot {
				f.Label, f.Value = "field."+v.names(), cmp.Or(f.Value, v.Username)
			}
		}
		if v.joins() {
			v.adapt(f)
		}
		v.describe(f)
		if f.Wrong != "" && (focus < 0 || all[focus].Wrong == "") || focus < 0 && f.Value == "" {
			focus = i
		}
	}
	if focus < 0 && len(all) > 0 {
		focus = 0
	}
	// A user who may go on without a password should read so first.
	if focus >= 0 && (v.SignedIn == "" || len(v.Errors)+len(v.Fields) > 0) {
		f := &all[focus]
		f.Focus = true
		if len(v.Errors) > 0 {
			f.About = strings.TrimSpace("errors " + f.About) // not every screen reader reads an alert that is there from the start
		}
	}
	return all
}

// joins reports whether the page asks for the names of a new account.
func (v view) joins() bool { return v.Page == Signup || v.Page == Join }

// describe fills in what the page says about a field.
func (v view) describe(f *field) {
	if v.Fields[f.Name] != "" {
		f.Wrong = v.wrong(f.Name)
	}
	if f.Hint != "" {
		f.About = f.Name + "-hint"
	}
	if f.Wrong != "" {
		f.About = strings.TrimSpace(f.About + " " + f.Name + "-wrong")
	}
}

// need returns whether a visitor who signs up gives a name; empty for other fields.
func (v view) need(field string) string {
	email := cmp.Or(v.EmailNeed, "optional")
	if v.RequireVerifiedEmail {
		email = "required"
	}
	username := cmp.Or(v.UsernameNeed, "optional")
	switch {
	case field == "username" && username == "optional" && email == "none", field == "email" && email == "optional" && username == "none":
		return "required"
	case field == "username":
		return username
	case field == "email":
		return email
	}
	return ""
}

// adapt makes a field of a new account say whether it has to be filled in.
func (v view) adapt(f *field) {
	switch v.need(f.Name) {
	case "optional":
		f.Optional = true
		if v.need("username") == "optional" && v.need("email") == "optional" && f.Name == "username" {
			f.Hint = "signup.one_hint"
		}
	case "required":
		f.Optional = false
		if f.Name == "email" {
			f.Hint = ""
		}
	}
}

// names returns which names users sign in with, as the key of words about them ends: the
// username, the email, or a name of either kind.
func (v view) names() string {
	switch {
	case v.UsernameNeed == "none":
		return "email"
	case v.EmailNeed == "none":
		return "username"
	default:
		return "name"
	}
}

// wrong says what is wrong with a field: the sentence for its code, or else the text
// in Fields itself.
func (v view) wrong(name string) string {
	code := v.Fields[name]
	either := v.names() == "name" && (name == "username" && (!v.joins() || v.need(name) == "optional") || v.Page == Forgot)
	for _, key := range []string{"wrong." + strings.TrimPrefix(name, "new_") + "." + code, "wrong." + code} {
		if either && code == "required" {
			key = "wrong.name.required"
		}
		if key == "wrong.password.too_short" && v.MinLength == 0 {
			continue
		}
		if s, err := v.Say(key); err == nil {
			return s
		}
	}
	return code
}
