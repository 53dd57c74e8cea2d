package grants

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"countersign/clients"
	"countersign/ids"
	"countersign/secrecy"
)

// credentials reads the client's id and secret from HTTP Basic or from the body (RFC
// 6749 section 2.3.1), never both.
func credentials(r *http.Request, form url.Values) (clients.Credentials, error) {
	id, clientSecret := form.Get("client_id"), form.Get("client_secret")
	switch headers := r.Header.Values("Authorization"); len(headers) {
	case 0:
		if id == "" {
			return clients.Credentials{}, errNoClient
		}
		return clients.Credentials{ID: ids.Client(id), Secret: secrecy.Text(clientSecret)}, nil
	case 1:
		basicID, basicSecret, ok := parseBasic(headers[0])
		if !ok {
			return clients.Credentials{}, clients.ErrBadCredentials
		}
		if form.Has("client_secret") {
			return clients.Credentials{}, invalidRequest("the client must authenticate in one way only")
		}
		if id != "" && id != basicID {
			return clients.Credentials{}, invalidRequest("client_id differs from the client in the Authorization header")
		}
		// Some clients send Basic with an empty secret for a public client.
		return clients.Credentials{ID: ids.Client(basicID), Secret: secrecy.Text(basicSecret)}, nil
	default:
		return clients.Credentials{}, invalidRequest("the Authorization header is repeated")
	}
}

// parseBasic reads an Authorization header of the Basic scheme. Both parts are
// form-encoded inside it (RFC 6749 section 2.3.1), which net/http doesn't decode.
func parseBasic(header string) (id, secret string, ok bool) {
	scheme, encoded, _ := strings.Cut(header, " ")
	if !strings.EqualFold(scheme, "Basic") {
		return "", "", false
	}
	plain, err := base64.StdEncoding.Strict().DecodeString(strings.TrimSpace(encoded))
	if err != nil {
		return "", "", false
	}
	id, secret, found := strings.Cut(string(plain), ":")
	if !found {
		return "", "", false
	}
	id, idErr := url.QueryUnescape(id)
	secret, secretErr := url.QueryUnescape(secret)
	if idErr != nil || secretErr != nil || id == "" || !utf8.ValidString(id) || !utf8.ValidString(secret) {
		return "", "", false
	}
	return id, secret, true
}
