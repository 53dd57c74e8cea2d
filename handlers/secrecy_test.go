package handlers

import (
	"testing"

	"countersign/secrecy/secrecytest"
)

func TestRequestsHideTheirPasswords(t *testing.T) {
	const secret = "correct-horse-battery"
	secrecytest.Hidden(t, secret, changePasswordRequest{Current: secret, New: secret})
	secrecytest.Hidden(t, secret, proofRequest{Current: secret})
	secrecytest.Hidden(t, secret, changeEmailRequest{Email: "a@example.com", Current: secret})
	secrecytest.Hidden(t, secret, signInRequest{Username: "alice", Password: secret})
	secrecytest.Hidden(t, secret, signupRequest{Username: "alice", Password: secret})
	secrecytest.Hidden(t, secret, resetRequest{Password: secret})
}
