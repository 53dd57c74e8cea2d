package server_test

import (
	"testing"
	"time"

	"countersign/accounts"
	"countersign/mail"
)

// The postman hands a letter's kind to mail as text. A kind without words would be tried
// again and again until the letter expires, and its user never gets it.
func TestMailHasWordsForEveryLetter(t *testing.T) {
	for _, kind := range accounts.LetterKinds() {
		for _, language := range []string{"en", "ko"} {
			vars := mail.Vars{Service: "Countersign", Username: "alice", Link: "https://app.example.com/#t", ValidFor: time.Hour}
			if m, err := mail.Compose(mail.Kind(kind), language, vars); err != nil || m.Subject == "" {
				t.Errorf("%s in %s: %q, %v", kind, language, m.Subject, err)
			}
		}
	}
}
