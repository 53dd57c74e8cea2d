package main

import (
	"testing"

	"countersign/api"
)

func TestFactorsInALine(t *testing.T) {
	left := 7
	for want, all := range map[string][]api.Factor{
		"": nil,
		"totp, totp (my phone), recovery_codes (7 left)": {{Kind: "totp"}, {Kind: "totp", Name: "my phone"}, {Kind: "recovery_codes", Remaining: &left}},
	} {
		if got := factorsText(all); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
