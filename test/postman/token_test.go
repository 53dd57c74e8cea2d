package postman_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"strings"
	"testing"

	"countersign/test/programs"
)

// authorization is the content of an Authorization tab of the collection.
type authorization map[string]string

// tabs are the OAuth 2.0 tabs of the collection and its folders, by grant type, with
// the variables' values in them.
func tabs(t *testing.T, issuer string) map[string]authorization {
	t.Helper()
	type tab struct {
		OAuth2 []struct {
			Key   string
			Value any
		}
	}
	var collection struct {
		Auth     tab
		Item     []struct{ Auth tab }
		Variable []struct{ Key, Value string }
	}
	text, err := os.ReadFile(collectionFile)
	if err == nil {
		err = json.Unmarshal(text, &collection)
	}
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, v := range collection.Variable {
		switch v.Key {
		case "baseUrl":
			v.Value = issuer
		case "username":
			v.Value = "alice"
		}
		names = append(names, "{{"+v.Key+"}}", v.Value)
	}
	all := map[string]authorization{}
	for _, one := range append(collection.Item, struct{ Auth tab }{collection.Auth}) {
		a := authorization{}
		for _, entry := range one.Auth.OAuth2 {
			if text, ok := entry.Value.(string); ok {
				a[entry.Key] = strings.NewReplacer(names...).Replace(text)
			}
		}
		if len(a) > 0 {
			all[a["grant_type"]] = a
		}
	}
	return all
}

// get asks for a token as "Get New Access Token" does.
func (a authorization) get(t *testing.T, form url.Values) map[string]any {
	t.Helper()
	header := http.Header{}
	if a["client_authentication"] == "header" {
		header.Set("Authorization", basic(a["clientId"], a["clientSecret"]))
	} else {
		form.Set("client_id", a["clientId"])
		form.Set("client_secret", a["clientSecret"])
	}
	return post(t, a["accessTokenUrl"], form, header)
}

func basic(id, secret string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(id+":"+secret))
}

func post(t *testing.T, address string, form url.Values, header http.Header) map[string]any {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	r.Header = header
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var got map[string]any
	if err := json.NewDecoder(resp.Body).Decode(&got); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s %v, %v", form.Get("grant_type"), resp.Status, got, err)
	}
	return got
}

// With the tabs' content, "Get New Access Token" and "Refresh" get tokens.
func TestTheAuthorizationTabsGetTokens(t *testing.T) {
	issuer, _ := programs.Serve(t)
	all := tabs(t, issuer)
	const password = "correct horse battery staple"
	body, _ := json.Marshal(map[string]string{"username": "alice", "password": password})
	resp, err := http.Post(issuer+"/signup", "application/json", bytes.NewReader(body))
	if err != nil || resp.StatusCode != http.StatusCreated {
		t.Fatal(resp, err)
	}
	resp.Body.Close()

	a := all["client_credentials"]
	if got := a.get(t, url.Values{"grant_type": {"client_credentials"}, "scope": {a["scope"]}}); got["access_token"] == nil {
		t.Errorf("client credentials: %v", got)
	}
	a = all["password_credentials"]
	a.refresh(t, a.get(t, url.Values{"grant_type": {"password"}, "username": {a["username"]}, "password": {a["password"]}, "scope": {a["scope"]}}))

	a = all["authorization_code_with_pkce"]
	if a["challengeAlgorithm"] != "S256" {
		t.Errorf("challengeAlgorithm = %q, want S256", a["challengeAlgorithm"])
	}
	for _, callback := range []string{a["redirect_uri"], "https://oauth.pstmn.io/v1/browser-callback"} { // the second is Postman's own on the web
		const verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
		sum := sha256.Sum256([]byte(verifier))
		code := a.signIn(t, url.Values{
			"response_type": {"code"}, "client_id": {a["clientId"]}, "redirect_uri": {callback}, "scope": {a["scope"]}, "state": {a["state"]},
			"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"},
		}, "alice", password)
		a.refresh(t, a.get(t, url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {callback}, "code_verifier": {verifier}}))
	}
}

// refresh asks for the next tokens as the button does: with the client's id and secret
// (empty if there is none) as Basic, whatever the tab says.
func (a authorization) refresh(t *testing.T, tokens map[string]any) {
	t.Helper()
	refresh, _ := tokens["refresh_token"].(string)
	got := post(t, a["refreshTokenUrl"], url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refresh}},
		http.Header{"Authorization": {basic(a["clientId"], a["clientSecret"])}})
	if got["refresh_token"] == nil || got["id_token"] == nil {
		t.Errorf("refreshed: %v", got)
	}
}

// signIn opens the authorization endpoint as a browser does, fills in the page and returns
// the code that Postman gets.
func (a authorization) signIn(t *testing.T, request url.Values, username, password string) string {
	t.Helper()
	jar, _ := cookiejar.New(nil)
	browser := &http.Client{Jar: jar, CheckRedirect: func(r *http.Request, _ []*http.Request) error {
		if strings.HasPrefix(r.URL.String(), request.Get("redirect_uri")) {
			return http.ErrUseLastResponse
		}
		return nil
	}}
	resp, err := browser.Get(a["authUrl"] + "?" + request.Encode())
	if err != nil {
		t.Fatal(err)
	}
	page, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	_, rest, _ := strings.Cut(string(page), `name="ticket" value="`)
	ticket, _, found := strings.Cut(rest, `"`)
	if !found {
		t.Fatalf("no sign-in page: %s\n%s", resp.Status, page)
	}
	resp, err = browser.PostForm(resp.Request.URL.Scheme+"://"+resp.Request.URL.Host+"/login", url.Values{"ticket": {ticket}, "username": {username}, "password": {password}})
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	to, err := resp.Location()
	if err != nil || to.Query().Get("state") != request.Get("state") || to.Query().Get("code") == "" {
		t.Fatalf("%s leads to %v", resp.Status, to)
	}
	return to.Query().Get("code")
}
