package pages_test

import (
	"fmt"
	"strings"
	"testing"

	"countersign/pages"
)

// The fields say which names are taken, and phones show the keyboard for them.
func TestFieldsAreThoseOfTheSettings(t *testing.T) {
	type settings struct{ username, email string }
	for _, c := range []struct {
		settings
		login  string // its label and keyboard
		signup string // its fields, and which of them are needed
	}{
		{settings{"", ""}, "Username or e-mail address email", "username email password!"},
		{settings{"required", "optional"}, "Username or e-mail address email", "username! email password!"},
		{settings{"optional", "required"}, "Username or e-mail address email", "username email! password!"},
		{settings{"none", "optional"}, "E-mail address email", "email! password!"},
		{settings{"optional", "none"}, "Username ", "username! password!"},
	} {
		d := pages.Data{UsernameNeed: c.username, EmailNeed: c.email}
		login := render(t, "en", pages.Login, d)
		if got := fmt.Sprint(text(login.all("label")[0]), " ", get(login.find("username"), "inputmode")); got != c.login {
			t.Errorf("%+v: sign-in asks for %q, want %q", c.settings, got, c.login)
		}
		var fields []string
		for _, in := range render(t, "en", pages.Signup, d).all("input") {
			if name := get(in, "name"); get(in, "type") != "hidden" && has(in, "required") {
				fields = append(fields, name+"!")
			} else if get(in, "type") != "hidden" {
				fields = append(fields, name)
			}
		}
		if got := strings.Join(fields, " "); got != c.signup {
			t.Errorf("%+v: sign-up has the fields %q, want %q", c.settings, got, c.signup)
		}
	}
}
