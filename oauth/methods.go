package oauth

import "slices"

// Methods are what a user has proven at a sign-in, by the names of RFC 8176: the "amr" of
// tokens.
type Methods []string

// The methods.
const (
	MethodPassword    = "pwd"
	MethodOTP         = "otp"  // a code that is good once
	MethodHardwareKey = "hwk"  // a passkey that never leaves its device
	MethodSoftwareKey = "swk"  // a passkey that the user's devices share
	MethodPresence    = "user" // the user was there and confirmed it to the passkey's device
	// MethodFederated says that another provider has signed the user in. Alone it comes to no
	// class: this server doesn't know what the user has proven there.
	MethodFederated = "fed"
	MethodMultiple  = "mfa" // with others: the user has proven more than one factor
)

// methodOrder is the order in which Methods are listed.
var methodOrder = []string{MethodPassword, MethodFederated, MethodOTP, MethodHardwareKey, MethodSoftwareKey, MethodPresence, MethodMultiple}

// And returns the methods that a user has proven who has proven both.
func (m Methods) And(more Methods) Methods {
	both := slices.Concat(m, more)
	slices.SortFunc(both, func(a, b string) int { return slices.Index(methodOrder, a) - slices.Index(methodOrder, b) })
	return slices.Compact(both)
}

// The authentication context classes ("acr") that this server can reach, from the weakest on
// (OpenID Connect Core section 2).
const (
	ClassPassword          = "pwd" // something that the user knows
	ClassMultiple          = "mfa" // that, and something that the user has
	ClassPhishingResistant = "phr" // the same, by a passkey, which no other site can ask for
)

// Classes are all of them.
var Classes = []string{ClassPassword, ClassMultiple, ClassPhishingResistant}

// Class returns the class that the methods come to, or "" if they come to none.
func (m Methods) Class() string {
	switch {
	case m.Multiple() && (slices.Contains(m, MethodHardwareKey) || slices.Contains(m, MethodSoftwareKey)):
		return ClassPhishingResistant
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

// Reaches reports whether the methods come to a class, or to a stronger one. The empty class
// asks for nothing.
func (m Methods) Reaches(class string) bool { return class == "" || m.Meets([]string{class}) }

// Weakest returns the weakest of some classes, which is what a sign-in must reach where any
// of them will do. Unknown ones don't count; of none it returns "".
func Weakest(classes []string) string {
	for _, class := range Classes {
		if slices.Contains(classes, class) {
			return class
		}
	}
	return ""
}

// Stronger returns the stronger of two classes, each of which may be "".
func Stronger(a, b string) string {
	if slices.Index(Classes, b) > slices.Index(Classes, a) {
		return b
	}
	return a
}

// Multiple reports whether the user has proven more than one factor.
func (m Methods) Multiple() bool { return slices.Contains(m, MethodMultiple) }
