package accounts_test

import (
	"testing"
	"time"

	"countersign/accounts"
	"countersign/caller"
	"countersign/ids"
)

// Users write a phone number as they like; it is stored in one form.
func TestPhoneNumbersAreStoredInE164(t *testing.T) {
	users := newUsers(t, open(t))
	user, err := users.Create(t.Context(), time.Now(), accounts.NewUser{Username: "alice", Password: goodPassword}, caller.Operator())
	if err != nil {
		t.Fatal(err)
	}
	for given, want := range map[string]string{
		"+1 (604) 555-1234;ext=5678":                     "+16045551234;ext=5678", // OpenID Connect Core section 5.1, as the next two
		"+1 (425) 555-1212":                              "+14255551212",
		"+56 (2) 687 2400":                               "+5626872400",
		"+82 10-1234-5678":                               "+821012345678",
		" +49.30.1234567\n":                              "+49301234567",
		"\u202a+82\u00a010\u20111234\u20135678\u202c":    "+821012345678", // as contacts copy it
		"\uff0b\uff18\uff12 \uff11\uff10\u30001234 5678": "+821012345678", // full width
		"+44 (0)20 7946 0018":                            "+442079460018",
		"+44 ( 0 ) 20 7946 0018":                         "+442079460018",
		"+39 (0)6 1234 5678":                             "+390612345678",
		"+39 06 1234 5678":                               "+390612345678",
		"+(1) 604 555 1234 ;EXT= 5-678":                  "+16045551234;ext=5678",
		"+14255551212":                                   "+14255551212",
	} {
		p, err := users.SetProfile(t.Context(), time.Now(), user.ID, ids.Place{}, accounts.Profile{PhoneNumber: given}, caller.Operator())
		if err != nil || p.PhoneNumber != want {
			t.Errorf("%q becomes %q, %v, want %q", given, p.PhoneNumber, err, want)
			continue
		}
		if p, err = users.Profile(t.Context(), user.ID); err != nil || p.PhoneNumber != want {
			t.Errorf("%q is stored as %q, %v", given, p.PhoneNumber, err)
		}
	}
	for _, given := range []string{
		"604 555 1234", "0082 10 1234 5678", "+", "+ ( )", "+1 (604", "+1 604)", "+1 ((604))", "+1 () 604", "+0 604 555", "+1 604/555", "++1 604", "+1 +604",
		"+1 604 555 1234 x5678", "+1 604;ext=", "+1 604;ext=1;ext=2", "+1 604\n555", "+1 604\u202e555", "+1 234 567 890 123 456", "+\u0661\u0662\u0663", "+1 (0)",
	} {
		if p, err := users.SetProfile(t.Context(), time.Now(), user.ID, ids.Place{}, accounts.Profile{PhoneNumber: given}, caller.Operator()); err == nil {
			t.Errorf("%q becomes %q", given, p.PhoneNumber)
		}
	}
}
