package oauth

import "slices"

// Methods are what a user has proven at a sign-in, by the names of RFC 8176: the "amr" of
// tokens.
type Methods []string

// MethodPassword is a password.
const MethodPassword = "pwd"

// The authentication context classes ("acr") that this server can reach, from the weakest on
// (OpenID Connect Core section 2).
const ClassPassword = "pwd" // something that the user knows

// Classes are all of them.
var Classes = []string{ClassPassword}

// Class returns the class that the methods come to, or "" if they come to none.
func (m Methods) Class() string {
	if slices.Contains(m, MethodPassword) {
		return ClassPassword
	}
	return ""
}
