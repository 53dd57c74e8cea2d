package oauth_test

import (
	"testing"

	"countersign/oauth"
)

func TestClasses(t *testing.T) {
	password := oauth.Methods{oauth.MethodPassword}
	second := password.And(oauth.Methods{oauth.MethodOTP, oauth.MethodMultiple})
	for _, test := range []struct {
		methods oauth.Methods
		class   string
		want    bool
	}{
		{nil, "", true}, {nil, oauth.ClassPassword, false}, {password, oauth.ClassPassword, true}, {password, oauth.ClassMultiple, false},
		{second, oauth.ClassPassword, true}, {second, oauth.ClassMultiple, true}, {second, "gold", false},
	} {
		if got := test.methods.Reaches(test.class); got != test.want {
			t.Errorf("%v reaches %q: %v, want %v", test.methods, test.class, got, test.want)
		}
	}
	for want, classes := range map[string][]string{"": {"gold"}, oauth.ClassPassword: {"gold", oauth.ClassMultiple, oauth.ClassPassword}, oauth.ClassMultiple: {oauth.ClassMultiple}} {
		if got := oauth.Weakest(classes); got != want {
			t.Errorf("the weakest of %v is %q, want %q", classes, got, want)
		}
	}
	for _, pair := range [][3]string{
		{"", "", ""}, {"", "pwd", "pwd"}, {"mfa", "", "mfa"}, {"pwd", "mfa", "mfa"}, {"mfa", "pwd", "mfa"},
	} {
		if got := oauth.Stronger(pair[0], pair[1]); got != pair[2] {
			t.Errorf("the stronger of %q and %q is %q, want %q", pair[0], pair[1], got, pair[2])
		}
	}
}
