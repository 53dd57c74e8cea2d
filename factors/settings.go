package factors

import (
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"countersign/input"
)

// Settings say which factors users may set up, and who must have one. They are the section
// factors of the configuration, which reads the defaults from the tags; New has none.
type Settings struct {
	// TOTP lets users set up authenticator apps. Default true; if false, those set up before
	// are still asked for, so that the setting takes no user's protection away.
	TOTP bool `yaml:"totp" default:"true"`
	// Passkeys lets users set up passkeys, with the same reservation. Default true.
	Passkeys bool `yaml:"passkeys" default:"true"`
	// Required says who must have a second factor: none, all, or a list of roles, whose users
	// must. A user who must have one and has none sets one up at the next sign-in. Default
	// none.
	Required []string `yaml:"required" default:"none" words:"none,all"`
	// RememberBrowser is how long a browser needs no second factor after a user has proven one
	// there and asked for that, at most 8760h (a year). Default 720h (30 days); 0s turns it
	// off, also for browsers that were remembered before.
	RememberBrowser time.Duration `yaml:"remember_browser" default:"720h"`
}

// The words of Settings.Required.
const (
	RequiredOfNone = "none"
	RequiredOfAll  = "all"
)

const (
	maxRole       = 64 // characters
	longestMemory = 365 * 24 * time.Hour
)

// Check returns all that is wrong with the settings, an *input.Error, or nil.
func (s Settings) Check() error {
	var bad input.Error
	for i, who := range s.Required {
		switch {
		case (who == RequiredOfNone || who == RequiredOfAll) && len(s.Required) > 1:
			bad.AddItem("required", i, input.Invalid, "%q stands alone: take the others out, or name roles only.", who)
		case who == "" || !input.Printable(who) || strings.Contains(who, ",") || utf8.RuneCountInString(who) > maxRole:
			bad.AddItem("required", i, input.Invalid, "%q must be a role: 1 to %d printable characters without spaces and commas.", who, maxRole)
		}
	}
	if s.someMust() && !s.TOTP && !s.Passkeys {
		bad.AddTogether("required", []string{"totp", "passkeys"}, "required: users must have a second factor, but totp and passkeys let them set up none: set one of these to true.")
	}
	if s.RememberBrowser < 0 || s.RememberBrowser > longestMemory {
		bad.Add("remember_browser", input.Invalid, "remember_browser must be 0s to %s, not %s.", input.Duration(longestMemory), input.Duration(s.RememberBrowser))
	}
	return bad.Err()
}

// someMust reports whether any user must have a second factor.
func (s Settings) someMust() bool {
	return len(s.Required) > 0 && s.Required[0] != RequiredOfNone
}

// MustHave reports whether a user with these roles must have a second factor.
func (s Settings) MustHave(roles []string) bool {
	if !s.someMust() {
		return false
	}
	return s.Required[0] == RequiredOfAll || slices.ContainsFunc(roles, func(r string) bool { return slices.Contains(s.Required, r) })
}
