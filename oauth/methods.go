package oauth

import "slices"

// Methods are what a user has proven at a sign-in, by the names of RFC 8176: the "amr" of
// tokens.
type Methods []string

// The methods.
const (
	MethodPassword = "pwd"
	MethodOTP      = "otp" // a code that is good once
	MethodMultiple = "mfa" // with others: the user has proven more than one factor
	// MethodFederated says that another provider has signed the user in. Alone it comes to no
	// class: this server doesn't know what the user has proven there.
	MethodFederated = "fed"
)

// SecondFactor is what a user has proven who has given a password and a code.
var SecondFactor = WithCode(MethodPassword)

// WithCode is what a user has proven who has given a code after a first proof.
func WithCode(first string) Methods { return Methods{first, MethodOTP, MethodMultiple} }

// The authentication context classes ("acr") that this server can reach, from the weakest on
// (OpenID Connect Core section 2).
const (
	ClassPassword = "pwd" // something that the user knows
	ClassMultiple = "mfa" // that, and something that the user has
)

// Classes are all of them.
var Classes = []string{ClassPassword, ClassMultiple}

// Class returns the class that the methods come to, or "" if they come to none.
func (m Methods) Class() string {
	switch {
	case m.Multiple():
		return ClassMultiple
	case slices.Contains(m, MethodPassword):
		return ClassPassword
	}
	return ""
}

// Meets reports whether the methods come to one of these classes, or to a stronger one. No
// class asks for nothing.
func (m Methods) Meets(classes []string) bool {
	reached := slices.Index(Classes, m.Class())
	return len(classes) == 0 || slices.ContainsFunc(classes, func(c string) bool {
		asked := slices.Index(Classes, c)
		return asked >= 0 && asked <= reached
	})
}

// Multiple reports whether the user has proven more than one factor.
func (m Methods) Multiple() bool { return slices.Contains(m, MethodMultiple) }
