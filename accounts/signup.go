package accounts

import "countersign/input"

// Need says whether a visitor who signs up gives a name. The zero Need is Optional.
type Need string

// The needs.
const (
	Optional Need = "optional"
	Required Need = "required"
	None     Need = "none" // giving one is an error
)

// SignupNames say which names an account has that a visitor creates. It always has one. They
// don't bind the operator.
type SignupNames struct {
	Username Need
	Email    Need
}

// Check returns what is wrong with the needs, an *input.Error, or nil.
func (s SignupNames) Check() error {
	var bad input.Error
	for _, one := range []struct {
		field string
		need  Need
	}{{"username", s.Username}, {"email", s.Email}} {
		switch one.need {
		case "", Optional, Required, None:
		default:
			bad.Add(one.field, input.Invalid, "%s must be required, optional or none, not %q.", one.field, string(one.need))
		}
	}
	if s.Username == None && s.Email == None {
		bad.AddTogether("username", []string{"email"}, "username: none, and email: none, leave nothing to sign in with: let visitors give one of them.")
	}
	return bad.Err()
}

// check adds what the needs have against the names of a new account, which are trimmed.
func (s SignupNames) check(bad *input.Error, username, email string) {
	for _, one := range []struct {
		field, value string
		need         Need
	}{{"username", username, s.Username}, {"email", email, s.Email}} {
		switch {
		case one.need == None && one.value != "":
			bad.Add(one.field, input.NotAllowed, "%s is not taken here: leave it out.", one.field)
		case one.need == Required && one.value == "":
			bad.Add(one.field, input.Required, "%s must not be empty.", one.field)
		}
	}
}
