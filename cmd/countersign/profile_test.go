package main

import (
	"strings"
	"testing"

	"countersign/accounts"
	"countersign/api"
)

// An address has lines, but a table has one line for each claim.
func TestRecordsShowAnAddressInOneLine(t *testing.T) {
	record := api.UserWithProfile{Profile: accounts.Profile{Name: "Alice", Address: accounts.Address{Formatted: "1 Main Street\r\nSeoul\nKR"}}}
	var out strings.Builder
	if err := printOne(printing{}, &out, record, recordColumns(record.Profile)); err != nil {
		t.Fatal(err)
	}
	if want := "profile.address.formatted  1 Main Street, Seoul, KR\n"; !strings.HasSuffix(out.String(), want) {
		t.Errorf("the table is\n%swant it to end in %s", out.String(), want)
	}
}
