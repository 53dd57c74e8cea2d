package oauth

import "encoding/base64"

// CheckPKCE checks the code_challenge and the code_challenge_method of a request for a code
// (RFC 7636 section 4.3). needed says that the client must send them. The method plain doesn't
// protect from an attacker who reads the request, so we refuse it (RFC 9700 section 2.1.1).
// Its error is an *Error.
func CheckPKCE(challenge, method string, needed bool) error {
	switch {
	case challenge == "" && method != "":
		return Refuse(InvalidRequest, "code_challenge is missing")
	case challenge == "" && needed:
		return Refuse(InvalidRequest, "code_challenge is missing: this client has to use PKCE")
	case challenge == "":
		return nil
	case method != "S256":
		return Refuse(InvalidRequest, "code_challenge_method must be S256")
	}
	if digest, err := base64.RawURLEncoding.Strict().DecodeString(challenge); err != nil || len(digest) != 32 || len(challenge) != 43 {
		return Refuse(InvalidRequest, "code_challenge must be a SHA-256 digest in base64url")
	}
	return nil
}
