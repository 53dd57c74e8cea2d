package server_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"unicode/utf8"

	"github.com/google/uuid"

	"countersign/accounts"
	"countersign/keys"
	"countersign/server"
)

// account is the body of a sign-up.
func account(username, password string) string {
	b, _ := json.Marshal(map[string]string{"username": username, "password": password})
	return string(b)
}

// wantField fails the test unless the answer is a 400 or 409 with exactly this problem:
// "field code".
func wantField(t testing.TB, got *response, want string) {
	t.Helper()
	var body struct {
		Errors []struct{ Field, Code, Detail string }
	}
	if err := json.Unmarshal(got.Body.Bytes(), &body); err != nil {
		t.Fatalf("%d %s: %v", got.Code, got.Body, err)
	}
	var said []string
	for _, e := range body.Errors {
		said = append(said, e.Field+" "+e.Code)
		if e.Detail == "" {
			t.Errorf("%s %s has no detail", e.Field, e.Code)
		}
	}
	if strings.Join(said, ", ") != want {
		t.Errorf("errors = %q, want %q: %s", said, want, got.Body)
	}
}

// loginWith signs in with the given password.
func (a *app) loginWith(username, password string) *response {
	a.t.Helper()
	f := passwordForm(username)
	f.Set("password", password)
	return a.token(f)
}

func TestSignupAnswersTheUser(t *testing.T) {
	a := newApp(t)
	got := a.post("/signup", `{"username":"Ａlice","password":"`+password+`","email":"Alice@Example.net"}`).want(http.StatusCreated)
	user := got.json()
	if _, err := uuid.Parse(user["id"].(string)); err != nil {
		t.Errorf("id = %v, want a UUID", user["id"])
	}
	if user["username"] != "alice" || user["email"] != "Alice@Example.net" || user["disabled"] != false {
		t.Errorf("user = %v, want alice (PRECIS UsernameCaseMapped), her e-mail as given", user)
	}
	if roles, ok := user["roles"].([]any); !ok || len(roles) != 0 {
		t.Errorf("roles = %v, want an empty list", user["roles"])
	}
	if len(user) != 7 {
		t.Errorf("user = %v, want id, username, email, email_verified, roles, disabled, created_at", user)
	}
	if got.Header().Get("Cache-Control") != "no-store" || got.Header().Get("Content-Type") != "application/json" {
		t.Errorf("headers = %v", got.Header())
	}
	if strings.Contains(got.Body.String(), "argon2") || strings.Contains(got.Body.String(), password) {
		t.Errorf("the answer tells the password or its hash: %s", got.Body)
	}
	// Any form of the name signs in.
	for _, name := range []string{"alice", "ALICE", "Ａｌｉｃｅ"} {
		a.login(name)
	}
}

// Requirement: line 72.
func TestPasswordLength(t *testing.T) {
	a := newApp(t)
	wantField(t, a.post("/signup", account("short", "7 chars")).wantProblem(http.StatusBadRequest, "invalid_input"), "password too_short")
	wantField(t, a.post("/signup", account("short", "ééééééé")).wantProblem(http.StatusBadRequest, "invalid_input"), "password too_short")
	hundred := strings.Repeat("correct horse", 8)[:100]
	for name, password := range map[string]string{
		"eight":   "8 chars!",
		"codes":   "éééééééé", // eight code points
		"blanks":  "  it   begins and ends in spaces  ",
		"emoji":   "👩‍👩‍👧‍👦🏳️‍🌈🙂🙂🙂🙂",
		"korean":  "정확한 말 배터리 스테이플",
		"lengthy": strings.Repeat("long pass phrase ", 15), // 255
		"hundred": hundred,
	} {
		a.post("/signup", account(name, password)).want(http.StatusCreated)
		if got := a.loginWith(name, password); got.Code != http.StatusOK {
			t.Errorf("%s: the password that was chosen doesn't sign in: %s", name, got.Body)
		}
		if len(password) > 20 {
			_, last := utf8.DecodeLastRuneInString(password)
			a.loginWith(name, password[:len(password)-last]).wantError(http.StatusBadRequest, "invalid_grant")
		}
	}
	if len(hundred) != 100 {
		t.Fatal("not a hundred characters")
	}
	a.loginWith("hundred", hundred[:99]+"X").wantError(http.StatusBadRequest, "invalid_grant")
	a.loginWith("hundred", hundred+"X").wantError(http.StatusBadRequest, "invalid_grant")
	// bcrypt would take these two for the same, and so would a hash that stops at NUL.
	a.loginWith("lengthy", strings.Repeat("long pass phrase ", 15)[:254]+"X").wantError(http.StatusBadRequest, "invalid_grant")
	a.loginWith("eight", "8 chars!\x00x").wantError(http.StatusBadRequest, "invalid_grant")
	// The same password typed on another system: NFD for NFC, a no-break space.
	a.post("/signup", account("keyboard", "caf\u00e9 au lait")).want(http.StatusCreated)
	if got := a.loginWith("keyboard", "cafe\u0301 au\u00a0lait"); got.Code != http.StatusOK {
		t.Errorf("another keyboard's spelling doesn't sign in: %s", got.Body)
	}
	wantField(t, a.post("/signup", account("toolong", strings.Repeat("x", 1025))).wantProblem(http.StatusBadRequest, "invalid_input"), "password too_long")
	wantField(t, a.post("/signup", account("control", "tab\tor\nnewline")).wantProblem(http.StatusBadRequest, "invalid_input"), "password invalid_characters")
}

// Requirement: line 73.
func TestPasswordRules(t *testing.T) {
	a := newApp(t)
	for i, password := range []string{"lowercaseonly", "UPPERCASEONLY", "8402957163", "!!!!????!!!!", "        x"} {
		if got := a.post("/signup", account(fmt.Sprintf("user%d", i), password)); got.Code != http.StatusCreated {
			t.Errorf("%q: %s, want no rules on what it is composed of", password, got.Body)
		}
	}
	for password, code := range map[string]string{
		"password":               "too_common",
		"PassWord1":              "too_common",
		"qwerty123":              "too_common",
		"iloveyou":               "too_common",
		"my countersign account": "contains_personal",
		"COUNTERSIGN!":           "contains_personal",
		"ｃｏｕｎｔｅｒｓｉｇｎ":            "contains_personal",
		"i like example.com":     "contains_personal",
		"wonderland-2026":        "contains_personal", // the username
		"x liddell@mail.test x":  "contains_personal", // the address
		"Liddell-family":         "contains_personal", // its first half
	} {
		body, _ := json.Marshal(map[string]string{"username": "wonderland", "email": "liddell@mail.test", "password": password})
		got := a.post("/signup", string(body))
		if got.Code != http.StatusBadRequest {
			t.Errorf("%q: %d, want 400", password, got.Code)
			continue
		}
		wantField(t, got, "password "+code)
		if password != "password" && strings.Contains(got.Body.String(), password) {
			t.Errorf("the answer repeats the password %q: %s", password, got.Body)
		}
	}
}

// Requirement: line 75.
func TestSigningUpVerifiesNoAddress(t *testing.T) {
	a := newApp(t)
	got := a.post("/signup", `{"username":"alice","password":"`+password+`","email":"alice@example.net"}`).want(http.StatusCreated)
	if verified := got.json()["email_verified"]; verified != false {
		t.Errorf("sign-up: email_verified = %v, want false", verified)
	}
	login := a.login("alice")
	said := a.userinfo(login.text("access_token")).want(http.StatusOK).json()
	if said["email"] != "alice@example.net" || said["email_verified"] != false {
		t.Errorf("userinfo: email = %v, email_verified = %v, want the address, not verified", said["email"], said["email_verified"])
	}
	for _, kind := range []string{"id_token", "access_token"} {
		if _, claims := login.claims(kind); claims["email_verified"] != nil && claims["email_verified"] != false {
			t.Errorf("%s: email_verified = %v", kind, claims["email_verified"])
		}
	}
	wantField(t, a.post("/signup", `{"username":"mallory","password":"`+password+`","email":"m@example.net","email_verified":true}`).
		want(http.StatusBadRequest), "email_verified unknown")
	// Without an address there are no claims about one.
	a.post("/signup", account("bob", password)).want(http.StatusCreated)
	said = a.userinfo(a.login("bob").text("access_token")).want(http.StatusOK).json()
	if _, there := said["email_verified"]; there || said["email"] != nil {
		t.Errorf("userinfo of a user without an address says %v", said)
	}
}

func TestSignupReadsJSONStrictly(t *testing.T) {
	a := newApp(t)
	const u, p = `"username":"alice"`, `"password":"` + password + `"`
	for body, want := range map[string]string{
		`{` + u + `,` + p + `,"roles":["admin"]}`:                   "roles unknown",
		`{` + u + `,` + p + `,"id":"x","disabled":false}`:           "id unknown, disabled unknown",
		`{` + u + `,` + p + `,"":1}`:                                " unknown",
		`{"Username":"alice",` + p + `}`:                            "Username unknown",
		`{"USERNAME":"alice",` + u + `,` + p + `}`:                  "USERNAME unknown, username repeated",
		`{` + u + `,` + p + `,"Password":"other"}`:                  "Password repeated",
		`{` + u + `,` + p + `,` + p + `}`:                           "password repeated",
		`{` + u + `,"user\u006eame":"bob",` + p + `}`:               "username repeated",
		`{` + u + `,` + p + `,"PA\u0053SWORD":"other"}`:             "PASSWORD repeated",
		`{` + u + `,` + p + `,"user\u212aname":"x"}`:                "user\u212aname unknown",
		`{"username":1,` + p + `}`:                                  "username wrong_type",
		`{"username":["alice"],` + p + `}`:                          "username wrong_type",
		`{"username":{"$ne":""},` + p + `}`:                         "username wrong_type",
		`{` + u + `,"password":true}`:                               "password wrong_type",
		`{` + u + `,` + p + `,"email":{}}`:                          "email wrong_type",
		`{}`:                                                        "username required, password required",
		`{` + p + `}`:                                               "username required",
		`{` + u + `}`:                                               "password required",
		`{"username":null,"password":null}`:                         "username required, password required",
		`{"username":"a b",` + p + `}`:                              "username invalid_characters",
		`{"username":"` + strings.Repeat("a", 65) + `",` + p + `}`:  "username too_long",
		`{` + u + `,` + p + `,"email":"nobody"}`:                    "email invalid",
		`{` + u + `,` + p + `,"email":"a@b.c\r\nBcc: d@e.f"}`:       "email invalid",
		`{"username":"a b","password":"7 chars","email":"y"}`:       "username invalid_characters, email invalid, password too_short",
		`{` + u + `,` + p + `,"` + strings.Repeat("é", 60) + `":1}`: strings.Repeat("é", 32) + "... unknown",
	} {
		wantField(t, a.post("/signup", body).wantProblem(http.StatusBadRequest, "invalid_input"), want)
	}
	for name, body := range map[string]string{
		"empty":                     ``,
		"blank":                     ` `,
		"null":                      `null`,
		"a list":                    `[{` + u + `,` + p + `}]`,
		"a string":                  `"alice"`,
		"not closed":                `{` + u + `,` + p,
		"cut off":                   `{` + u + `,"password":"corr`,
		"something behind":          `{` + u + `,` + p + `} x`,
		"another object behind":     `{` + u + `,` + p + `}{` + u + `,` + p + `}`,
		"a comma behind":            `{` + u + `,` + p + `},`,
		"a brace behind":            `{` + u + `,` + p + `}}`,
		"NUL behind":                `{` + u + `,` + p + "}\x00",
		"a comma at the end":        `{` + u + `,` + p + `,}`,
		"no comma":                  `{` + u + ` ` + p + `}`,
		"a comment":                 `{` + u + `,/* */` + p + `}`,
		"single quotes":             `{'username':'alice',` + p + `}`,
		"a name without quotes":     `{username:"alice",` + p + `}`,
		"a name that is a number":   `{1:"alice",` + p + `}`,
		"a byte order mark":         "\ufeff{" + u + `,` + p + `}`,
		"UTF-16":                    "\xff\xfe{\x00}\x00",
		"invalid UTF-8 in a value":  `{"username":"al` + "\xff" + `ice",` + p + `}`,
		"invalid UTF-8 in a name":   `{` + u + `,` + p + `,"` + "\xc3" + `":1}`,
		"overlong UTF-8":            `{"username":"al` + "\xc0\xaf" + `ice",` + p + `}`,
		"a surrogate in UTF-8":      `{"username":"al` + "\xed\xa0\x80" + `ice",` + p + `}`,
		"a raw newline in a string": `{` + u + `,"password":"correct` + "\n" + `horse"}`,
		"lists, deep":               `{"username":` + strings.Repeat("[", 30000) + strings.Repeat("]", 30000) + `}`,
		"objects, deep":             strings.Repeat(`{"a":`, 10010) + `1` + strings.Repeat("}", 10010),
		"lists, deep and open":      strings.Repeat("[", 60000),
	} {
		got := a.post("/signup", body)
		if got.Code != http.StatusBadRequest || !strings.HasSuffix(got.text("type"), ":malformed") {
			t.Errorf("%s: %d %s, want 400 malformed", name, got.Code, got.Body)
		}
		if len(got.Body.String()) > 500 {
			t.Errorf("%s: the answer is %d bytes long", name, got.Body.Len())
		}
	}
	for _, kind := range []string{
		"", "text/plain", "multipart/form-data; boundary=x", "text/json", "application/jsonx",
		"application/problem+json", "application/json, text/plain", "application/json; charset=utf-16", "application/json;;", "*/*",
	} {
		got := a.do(http.MethodPost, "/signup", `{`+u+`,`+p+`}`, "Content-Type", kind)
		if got.Code != http.StatusUnsupportedMediaType {
			t.Errorf("Content-Type %q: %d, want 415", kind, got.Code)
		}
	}
	a.do(http.MethodPost, "/signup", `{`+u+`,`+p+`}`).wantProblem(http.StatusUnsupportedMediaType, "unsupported_media_type")
	a.do(http.MethodPost, "/signup", `{`+u+`,`+p+`}`, "Content-Type", "application/json", "Content-Type", "text/plain").
		wantProblem(http.StatusUnsupportedMediaType, "unsupported_media_type")

	room := 64<<10 - len(`{`+u+`,`+p+`}`)
	a.post("/signup", `{`+u+`,`+p+strings.Repeat(" ", room+1)+`}`).wantProblem(http.StatusRequestEntityTooLarge, "too_large")
	a.post("/signup", strings.Repeat("x", 10<<20)).wantProblem(http.StatusRequestEntityTooLarge, "too_large")

	if users, err := a.Users.List(t.Context(), accounts.User{}, 10); err != nil || len(users) != 0 {
		t.Fatalf("%d accounts (%v), want none so far", len(users), err)
	}
	a.do(http.MethodPost, "/signup", " \r\n{"+u+" , "+p+strings.Repeat(" ", room-8)+"}\n", "Content-Type", `Application/JSON; Charset="UTF-8"`).
		want(http.StatusCreated)
	a.post("/signup?username=other", account("bob", password)).want(http.StatusCreated)
	a.post("/signup", `{"username":"carol","password":"`+password+`","email":null}`).want(http.StatusCreated)
}

// Decoding turns every half of a surrogate pair into the same character, so two
// passwords would be equal.
func TestHalfASurrogatePairIsNoCharacter(t *testing.T) {
	a := newApp(t)
	wantField(t, a.post("/signup", `{"username":"alice","password":"zebra-quilt-\ud800"}`).wantProblem(http.StatusBadRequest, "invalid_input"), "password invalid_characters")
	a.post("/signup", `{"username":"alice","password":"zebra-quilt-\ud83d\ude00"}`).want(http.StatusCreated)
}

func TestAnswerListsABoundedNumberOfErrors(t *testing.T) {
	a := newApp(t)
	var members []string
	for i := range 6000 {
		members = append(members, fmt.Sprintf(`"m%d":1`, i))
	}
	got := a.post("/signup", "{"+strings.Join(members, ",")+"}").wantProblem(http.StatusBadRequest, "invalid_input")
	if listed := len(got.json()["errors"].([]any)); listed != 20 {
		t.Errorf("%d errors are listed, want 20", listed)
	}
}

func TestTakenNamesAndAddressesAreConflicts(t *testing.T) {
	a := newApp(t)
	a.signup("alice") // alice@example.net
	for body, want := range map[string]string{
		account("alice", password): "username taken",
		account("ALICE", password): "username taken",
		account("Ａｌｉｃｅ", password): "username taken",
		`{"username":"bob","password":"` + password + `","email":"alice@example.net"}`: "email taken",
		`{"username":"bob","password":"` + password + `","email":"ALICE@EXAMPLE.NET"}`: "email taken",
	} {
		wantField(t, a.post("/signup", body).wantProblem(http.StatusConflict, "taken"), want)
	}
	// Malformed input is reported before taken names, so that malformed requests tell
	// nothing of accounts.
	wantField(t, a.post("/signup", account("alice", "7 chars")).want(http.StatusBadRequest), "password too_short")

	a = newApp(t) // whose budget is untouched
	var wg sync.WaitGroup
	codes := make(chan int, 10)
	for range 10 {
		wg.Go(func() { codes <- a.post("/signup", account("racer", password)).Code })
	}
	wg.Wait()
	close(codes)
	count := map[int]int{}
	for code := range codes {
		count[code]++
	}
	if count[http.StatusCreated] != 1 || count[http.StatusConflict] != 9 {
		t.Errorf("ten sign-ups for one name at once: %v, want one 201 and nine 409", count)
	}
}

func TestSignupCanBeClosed(t *testing.T) {
	a := newApp(t, func(o *server.Options, _ *keys.Options) { o.SignupEnabled = false })
	a.post("/signup", account("alice", password)).wantProblem(http.StatusForbidden, "signup_disabled")
	if users, err := a.Users.List(t.Context(), accounts.User{}, 10); err != nil || len(users) != 0 {
		t.Errorf("%d accounts (%v), want none", len(users), err)
	}
}

// Promise 6: a flood of logins slows logins and sign-ups, and nothing else.
func TestFullHashingQueueRefusesLoginsAndSignupsOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &faults{}
		a := newApp(t, withFaults(f), func(o *server.Options, _ *keys.Options) { o.Hashing.MaxConcurrentHashes = 1 })
		a.signup("alice")
		login := a.login("alice")
		release := make(chan struct{})
		f.set(inSlot(func(_ context.Context, verb string) error {
			if strings.HasPrefix(verb, "UserByUsername flood") {
				<-release
			}
			return nil
		}))
		var flood sync.WaitGroup
		codes := make(chan int, 100)
		for i := range 33 { // one slot, and 32 places in the queue
			flood.Go(func() { codes <- a.token(passwordForm(fmt.Sprintf("flood%d", i))).Code })
		}
		synctest.Wait()

		got := a.post("/signup", account("bob", password)).wantProblem(http.StatusServiceUnavailable, "overloaded")
		if retry := got.Header().Get("Retry-After"); retry == "" || retry == "0" {
			t.Errorf("Retry-After = %q", retry)
		}
		if got := a.token(passwordForm("alice")).wantError(http.StatusServiceUnavailable, "temporarily_unavailable"); got.Header().Get("Retry-After") == "" {
			t.Error("the login has no Retry-After")
		}
		a.refresh(login.text("refresh_token")).want(http.StatusOK)
		a.userinfo(login.text("access_token")).want(http.StatusOK)
		a.do(http.MethodGet, "/.well-known/jwks.json", "").want(http.StatusOK)
		a.do(http.MethodGet, "/readyz", "").want(http.StatusOK)
		// Clients with a secret pass, too: their hashing has its own slots.
		a.token(form("grant_type", "client_credentials"), "Authorization", basic("api", "dev-secret")).want(http.StatusOK)
		// A request that needs no hash gets its own error.
		a.post("/signup", account("bob", "x")).want(http.StatusBadRequest)
		a.post("/signup", account("alice", password)).want(http.StatusConflict)

		close(release)
		flood.Wait()
		close(codes)
		for code := range codes {
			if code != http.StatusBadRequest {
				t.Errorf("a login that had a place in the queue got %d, want 400", code)
			}
		}
		a.post("/signup", account("bob", password)).want(http.StatusCreated)
		a.login("alice")
	})
}

// A caller that waits too long in the queue, or gives up, is told to come back.
func TestWaitingForAHashingSlotHasAnEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &faults{}
		a := newApp(t, withFaults(f), func(o *server.Options, _ *keys.Options) { o.Hashing.MaxConcurrentHashes = 1 })
		a.signup("alice")
		release := make(chan struct{})
		f.set(inSlot(func(_ context.Context, verb string) error {
			if strings.HasPrefix(verb, "UserByUsername flood") {
				<-release
			}
			return nil
		}))
		var flood sync.WaitGroup
		flood.Go(func() { a.token(passwordForm("flood")) })
		synctest.Wait()
		if got := a.post("/signup", account("bob", password)).wantProblem(http.StatusServiceUnavailable, "overloaded"); got.Header().Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
		a.token(passwordForm("alice")).wantError(http.StatusServiceUnavailable, "temporarily_unavailable")
		close(release)
		flood.Wait()
	})
}
