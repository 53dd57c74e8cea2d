package clients_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"countersign/audit"
	"countersign/caller"
	"countersign/clients"
	"countersign/hashing"
	"countersign/ids"
	"countersign/input/inputtest"
	"countersign/limits"
	"countersign/seal"
	"countersign/secrecy"
	"countersign/store/storetest"
)

const chosen = "correct horse:battery/staple="

// spa is a public client as a caller describes it; api a confidential one.
var (
	spa = clients.Client{
		ID: "spa",
		Settings: clients.Settings{
			Name: "Our web app", Public: true, FirstParty: true,
			Grants:       []string{"password", "refresh_token", "authorization_code"},
			RedirectURIs: []string{"https://app.example.com/cb", "http://localhost:*"},
			Origins:      []string{"https://app.example.com"},
			Scopes:       []string{"openid", "profile", "https://api.example.com/read"},
			Audiences:    []string{"https://api.example.com"},
			IDTokenAlg:   "ES256",
		},
	}
	api = clients.Client{ID: "api", Settings: clients.Settings{Grants: []string{"client_credentials"}, Scopes: []string{"read"}, MayIntrospect: true}}
)

func register(t testing.TB, registry *clients.Registry, c clients.Client, secret secrecy.Text) clients.Client {
	t.Helper()
	c, err := registry.Create(t.Context(), time.Now(), c, secret, caller.Operator())
	if err != nil {
		t.Fatalf("create client %q: %v", c.ID, err)
	}
	return c
}

// operatorAt returns the operator, calling from an address.
func operatorAt(address, request string) caller.Caller {
	operator := caller.Operator()
	operator.Address, operator.RequestID = address, request
	return operator
}

func TestOnlyTheOperatorChangesClients(t *testing.T) {
	registry := newRegistry(t, open(t))
	now := time.Now()
	if _, err := registry.Create(t.Context(), now, spa, "", caller.Operator()); err != nil {
		t.Fatal(err)
	}
	stranger := caller.Caller{Address: home}
	other := spa
	other.ID = "other"
	_, create := registry.Create(t.Context(), now, other, "", stranger)
	_, put := registry.Put(t.Context(), now, other, "", stranger)
	_, rotate := registry.RotateSecret(t.Context(), now, spa.ID, stranger)
	_, _, update := registry.Update(t.Context(), now, spa.ID, func(clients.Settings) (clients.Settings, error) { return api.Settings, nil }, "", stranger)
	for verb, err := range map[string]error{"Update": update, "Create": create, "Put": put, "RotateSecret": rotate, "Delete": registry.Delete(t.Context(), now, spa.ID, stranger)} {
		if !errors.Is(err, caller.ErrNotOperator) {
			t.Errorf("%s by a stranger: %v, want ErrNotOperator", verb, err)
		}
	}
	if all, err := registry.List(t.Context()); err != nil || len(all) != 1 || all[0].Name != spa.Name {
		t.Errorf("clients = %v, %v", all, err)
	}
}

// An update changes what it names. A client has a secret exactly if it is confidential.
func TestUpdate(t *testing.T) {
	db := open(t)
	registry := newRegistry(t, db)
	register(t, registry, api, chosen)
	register(t, registry, spa, "")
	as := func(id ids.Client, secret secrecy.Text) bool {
		_, err := registry.Authenticate(t.Context(), time.Now(), clients.Credentials{ID: id, Secret: secret}, caller.Caller{Address: home})
		return err == nil
	}
	update := func(id ids.Client, secret secrecy.Text, edit func(*clients.Settings)) (clients.Change, error) {
		_, change, err := registry.Update(t.Context(), time.Now(), id, func(s clients.Settings) (clients.Settings, error) {
			edit(&s)
			return s, nil
		}, secret, caller.Operator())
		return change, err
	}
	if change, err := update("api", "", func(s *clients.Settings) { s.Name = "" }); change != clients.Unchanged || err != nil {
		t.Errorf("nothing: %v, %v", change, err)
	}
	if change, err := update("api", "", func(s *clients.Settings) { s.Scopes = []string{"read", "write"} }); change != clients.Updated || err != nil || !as("api", chosen) {
		t.Errorf("a scope: %v, %v, or the secret is another", change, err)
	}
	generated := clients.GenerateSecret()
	if _, err := update("api", generated, func(*clients.Settings) {}); err != nil || as("api", chosen) || !as("api", generated) {
		t.Errorf("a new secret: %v, or the old one lives", err)
	}
	if _, err := update("spa", "another long secret", func(s *clients.Settings) { s.Public = false }); err != nil || as("spa", "") || !as("spa", "another long secret") {
		t.Errorf("public to confidential: %v", err)
	}
	if _, err := update("spa", "", func(s *clients.Settings) { s.Public = true }); err != nil || !as("spa", "") || as("spa", "another long secret") {
		t.Errorf("confidential to public: %v", err)
	}
	for name, c := range map[string]struct {
		id     ids.Client
		secret secrecy.Text
		edit   func(*clients.Settings)
		want   string
	}{
		"no secret":            {"spa", "", func(s *clients.Settings) { s.Public = false }, "a confidential client needs one"},
		"a secret of a public": {"spa", "another long secret", func(*clients.Settings) {}, "a public client has none"},
		"a poor secret":        {"api", "short", func(*clients.Settings) {}, "at least 8"},
		"a broken rule":        {"api", "", func(s *clients.Settings) { s.Grants = []string{"password"} }, "first-party"},
		"an unknown client":    {"none", "", func(*clients.Settings) {}, clients.ErrUnknown.Error()},
	} {
		before := len(storetest.Events(t, db))
		if _, err := update(c.id, c.secret, c.edit); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
		if after := len(storetest.Events(t, db)); after != before {
			t.Errorf("%s: left an event", name)
		}
	}
}

func TestCreatedClientIsStored(t *testing.T) {
	db := open(t)
	registry := newRegistry(t, db)
	now := time.Now().UTC().Truncate(time.Millisecond)
	want, err := registry.Create(t.Context(), now, spa, "", operatorAt(home, "r1"))
	if err != nil {
		t.Fatal(err)
	}
	got, err := registry.ByID(t.Context(), "spa")
	if err != nil {
		t.Fatal(err)
	}
	want.PostLogoutRedirectURIs = []string{} // as stored
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("stored client (-returned +stored):\n%s", diff)
	}
	if !got.AllowsGrant("password") || got.AllowsGrant("client_credentials") || got.AllowsGrant("") {
		t.Error("AllowsGrant is wrong")
	}
	if diff := cmp.Diff([]string{"client.created from 192.0.2.1 in r1"}, storetest.Events(t, db)); diff != "" {
		t.Errorf("audit (-want +got):\n%s", diff)
	}
	_, err = registry.Create(t.Context(), now, spa, "", caller.Operator())
	inputtest.Want(t, err, "id taken")
	if !errors.Is(err, clients.ErrExists) {
		t.Errorf("%v is not ErrClientExists", err)
	}
}

func TestSecretsAreStoredAsHashes(t *testing.T) {
	registry := newRegistry(t, open(t))
	generated := clients.GenerateSecret()
	for secret, prefix := range map[string]string{string(generated): "$sha256$", chosen: "$argon2id$v=19$m=8,"} {
		c := api
		c.ID = ids.Client(prefix[1:7])
		got := register(t, registry, c, secrecy.Text(secret)).SecretHash
		if !strings.HasPrefix(got, prefix) || strings.Contains(got, secret) {
			t.Errorf("%q is stored as %q", secret, got)
		}
	}
	if !strings.HasPrefix(string(generated), "cs_secret_") || len(generated) != len("cs_secret_")+43 || generated == clients.GenerateSecret() {
		t.Errorf("generated secret is %q", generated)
	}
}

func TestClientRules(t *testing.T) {
	registry := newRegistry(t, open(t))
	for name, c := range map[string]struct {
		client clients.Client
		change func(*clients.Client)
		secret secrecy.Text
		want   []string
	}{
		"public":                  {spa, nil, "", nil},
		"confidential":            {api, nil, chosen, nil},
		"nothing given":           {clients.Client{}, nil, "", []string{"id required", "secret required", "grants required"}},
		"resource server":         {api, func(c *clients.Client) { c.Grants = nil }, chosen, nil},
		"id with anything odd":    {spa, func(c *clients.Client) { c.ID = "a/b.c&d e~" }, "", nil},
		"id with colon":           {spa, func(c *clients.Client) { c.ID = "a:b" }, "", []string{"id invalid_characters"}},
		"id with plus":            {api, func(c *clients.Client) { c.ID = "a+b" }, chosen, []string{"id invalid_characters"}},
		"id with percent":         {api, func(c *clients.Client) { c.ID = "a%20b" }, chosen, []string{"id invalid_characters"}},
		"secret with plus":        {api, nil, "long enough+but", []string{"secret invalid_characters"}},
		"secret with percent":     {api, nil, "long%20enough", []string{"secret invalid_characters"}},
		"secret with the rest":    {api, nil, " !\"#$&'()*,-./:;<=>?@[]^_`{|}~\\", nil},
		"longest id":              {spa, func(c *clients.Client) { c.ID = ids.Client(strings.Repeat("a", 64)) }, "", nil},
		"id too long":             {spa, func(c *clients.Client) { c.ID = ids.Client(strings.Repeat("a", 65)) }, "", []string{"id too_long"}},
		"id with quote":           {spa, func(c *clients.Client) { c.ID = `a"b` }, "", []string{"id invalid_characters"}},
		"id with backslash":       {spa, func(c *clients.Client) { c.ID = `a\b` }, "", []string{"id invalid_characters"}},
		"id ending in space":      {spa, func(c *clients.Client) { c.ID = "a " }, "", []string{"id invalid_characters"}},
		"id not ASCII":            {spa, func(c *clients.Client) { c.ID = "ä" }, "", []string{"id invalid_characters"}},
		"id with control":         {spa, func(c *clients.Client) { c.ID = "a\nb" }, "", []string{"id invalid_characters"}},
		"name with control":       {spa, func(c *clients.Client) { c.Name = "a\x1b[31mb" }, "", []string{"name invalid"}},
		"name too long":           {spa, func(c *clients.Client) { c.Name = strings.Repeat("a", 129) }, "", []string{"name invalid"}},
		"public with secret":      {spa, nil, chosen, []string{"secret not_allowed"}},
		"confidential without":    {api, nil, "", []string{"secret required"}},
		"secret too short":        {api, nil, "1234567", []string{"secret too_short"}},
		"secret too long":         {api, nil, secrecy.Text(strings.Repeat("a", 1025)), []string{"secret too_long"}},
		"secret not ASCII":        {api, nil, "geheimnisvoll ä", []string{"secret invalid_characters"}},
		"secret with line end":    {api, nil, "correct horse\n", []string{"secret invalid_characters"}},
		"unknown grant":           {spa, func(c *clients.Client) { c.Grants = []string{"implicit"} }, "", []string{"grants invalid"}},
		"password for others":     {spa, func(c *clients.Client) { c.FirstParty = false }, "", []string{"grants not_allowed"}},
		"public machine":          {spa, func(c *clients.Client) { c.Grants = []string{"client_credentials"} }, "", []string{"grants not_allowed"}},
		"code without redirect":   {spa, func(c *clients.Client) { c.RedirectURIs = nil }, "", []string{"redirect_uris required"}},
		"bad redirect":            {spa, func(c *clients.Client) { c.RedirectURIs = []string{"javascript:alert(1)"} }, "", []string{"redirect_uris invalid"}},
		"bad logout redirect":     {spa, func(c *clients.Client) { c.PostLogoutRedirectURIs = []string{"/bye"} }, "", []string{"post_logout_redirect_uris invalid"}},
		"bad origins":             {spa, func(c *clients.Client) { c.Origins = []string{"*", "null"} }, "", []string{"origins invalid", "origins invalid"}},
		"bad scopes":              {spa, func(c *clients.Client) { c.Scopes = []string{"", "a b", `a"`, `a\`, "ä"} }, "", strings.Split(strings.Repeat("scopes invalid_characters|", 5), "|")[:5]},
		"bad audiences":           {spa, func(c *clients.Client) { c.Audiences = []string{"", "a b", "a\n"} }, "", []string{"audiences invalid", "audiences invalid", "audiences invalid"}},
		"public introspection":    {spa, func(c *clients.Client) { c.MayIntrospect = true }, "", []string{"may_introspect not_allowed"}},
		"unsigned ID tokens":      {spa, func(c *clients.Client) { c.IDTokenAlg = "none" }, "", []string{"id_token_alg invalid"}},
		"unknown acr":             {spa, func(c *clients.Client) { c.RequireACR = "gold" }, "", []string{"require_acr invalid"}},
		"ID tokens with a secret": {spa, func(c *clients.Client) { c.IDTokenAlg = "HS256" }, "", []string{"id_token_alg invalid"}},
	} {
		t.Run(name, func(t *testing.T) {
			if c.change != nil {
				c.change(&c.client)
			}
			_, err := registry.Put(t.Context(), time.Now(), c.client, c.secret, caller.Operator())
			inputtest.Want(t, err, c.want...)
			if err != nil && c.secret != "" && strings.Contains(err.Error(), string(c.secret)) {
				t.Errorf("the error quotes the secret: %v", err)
			}
		})
	}
}

func TestPutChangesOnlyWhatDiffers(t *testing.T) {
	db := open(t)
	registry := newRegistry(t, db)
	put := func(c clients.Client, secret secrecy.Text) clients.Client {
		t.Helper()
		c, err := registry.Put(t.Context(), time.Now(), c, secret, caller.Operator())
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	declared := api
	declared.Declared = true
	first := put(declared, chosen)
	put(spa, "")
	generated := clients.GenerateSecret()
	machine := declared
	machine.ID = "machine"
	put(machine, generated)

	put(declared, chosen) // a restart
	put(spa, "")
	put(machine, generated)
	if got, err := registry.ByID(t.Context(), "api"); err != nil || got.SecretHash != first.SecretHash {
		t.Errorf("the same secret has a new hash, %v", err)
	}
	created := []string{"client.created from  in ", "client.created from  in ", "client.created from  in "}
	if diff := cmp.Diff(created, storetest.Events(t, db)); diff != "" {
		t.Errorf("audit after a restart (-want +got):\n%s", diff)
	}

	put(declared, "another horse entirely") // a new secret
	declared.Scopes = []string{"read", "write"}
	changed := put(declared, "another horse entirely")
	updated := append(created, "client.updated from  in ", "client.updated from  in ")
	if diff := cmp.Diff(updated, storetest.Events(t, db)); diff != "" {
		t.Errorf("audit after two changes (-want +got):\n%s", diff)
	}
	got, err := registry.ByID(t.Context(), "api")
	if err != nil || got.SecretHash == first.SecretHash || got.SecretHash != changed.SecretHash || len(got.Scopes) != 2 {
		t.Errorf("stored client is %+v, %v", got, err)
	}
	if !got.CreatedAt.Equal(first.CreatedAt.Truncate(time.Millisecond)) {
		t.Errorf("created at %v, want %v", got.CreatedAt, first.CreatedAt)
	}
}

// Each server makes a hash of its own of the same secret; only one of them is a change.
func TestServersThatStartAtOnceLeaveOneEvent(t *testing.T) {
	db := open(t)
	var starts sync.WaitGroup
	for range 8 {
		registry := newRegistry(t, db)
		starts.Go(func() {
			if _, err := registry.Put(t.Context(), time.Now(), api, chosen, caller.Operator()); err != nil {
				t.Error(err)
			}
		})
	}
	starts.Wait()
	if diff := cmp.Diff([]string{"client.created from  in "}, storetest.Events(t, db)); diff != "" {
		t.Errorf("audit (-want +got):\n%s", diff)
	}
}

// A chosen secret that is the same is hashed once, whatever starts: its MAC tells. What
// else changes, changes alone.
func TestUnchangedSecretsAreNotHashedAgain(t *testing.T) {
	db := open(t)
	newer, older := seal.Generate(), seal.Generate()
	generated := clients.GenerateSecret()
	start := func(change func(*clients.Options), secret secrecy.Text, scopes ...string) (hashes int, stored clients.Client) {
		t.Helper()
		registry := newRegistry(t, db, change)
		work := registry.Watch()
		declared := api
		declared.Declared, declared.Scopes = true, scopes
		machine := declared
		machine.ID = "machine"
		public := spa
		public.Declared = true
		list := []clients.Declared{{Client: declared, Secret: secret}, {Client: machine, Secret: generated}, {Client: public}}
		if err := registry.PutAll(t.Context(), time.Now(), list, caller.Operator()); err != nil {
			t.Fatal(err)
		}
		hashes = len(work.Take())
		stored, err := registry.ByID(t.Context(), "api")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := registry.Authenticate(t.Context(), time.Now(), clients.Credentials{ID: "api", Secret: secret}, caller.Caller{Address: home}); err != nil {
			t.Errorf("authenticate: %v", err)
		}
		return hashes, stored
	}
	under := func(master ...secrecy.Text) func(*clients.Options) {
		var lines []string
		for _, key := range master {
			lines = append(lines, string(key))
		}
		keys, err := seal.Parse(secrecy.Text(strings.Join(lines, "\n")))
		if err != nil {
			t.Fatal(err)
		}
		return func(o *clients.Options) { o.Seal = keys }
	}
	none := func(*clients.Options) {}
	n, first := start(none, chosen)
	if n != 1 || first.SecretMAC != nil {
		t.Errorf("first start without master keys: %d hashes, MAC %x", n, first.SecretMAC)
	}
	for _, step := range []struct {
		what   string
		change func(*clients.Options)
		secret secrecy.Text
		scopes []string
		want   int
	}{
		{"a MAC for the stored hash", under(older), chosen, nil, 1},
		{"the same", under(older), chosen, nil, 0},
		{"other settings", under(older), chosen, []string{"read"}, 0},
		{"another master key beside the old", under(newer, older), chosen, []string{"read"}, 0},
		{"that master key alone", under(newer), chosen, []string{"read"}, 0},
		{"a master key that knows nothing", under(older), chosen, []string{"read"}, 1},
		{"another secret", under(older), "another horse entirely", nil, 2},
		{"another price", func(o *clients.Options) { under(older)(o); o.Argon2.Iterations = 2 }, "another horse entirely", nil, 2},
		{"the same again", func(o *clients.Options) { under(older)(o); o.Argon2.Iterations = 2 }, "another horse entirely", nil, 0},
	} {
		n, stored := start(step.change, step.secret, step.scopes...)
		if n != step.want {
			t.Errorf("%s: %d hashes, want %d", step.what, n, step.want)
		}
		if stored.SecretMAC == nil || bytes.Contains(stored.SecretMAC, []byte(step.secret)) {
			t.Errorf("%s: MAC %x", step.what, stored.SecretMAC)
		}
	}
	// A rotated secret leaves no MAC of the old one that passes for the new.
	registry := newRegistry(t, db, under(older))
	if _, err := registry.RotateSecret(t.Context(), time.Now(), "api", caller.Operator()); err != nil {
		t.Fatal(err)
	}
	if n, stored := start(under(older), "another horse entirely"); n != 1 || stored.SecretHash[:8] == "$sha256$" {
		t.Errorf("after rotating: %d hashes, hash %.8s", n, stored.SecretHash)
	}
}

// A client that is stored with characters that are refused today goes on working for
// callers that encode them.
func TestStoredSecretsAndIDsThatNeedEncodingWork(t *testing.T) {
	db := open(t)
	registry := newRegistry(t, db)
	hasher, err := hashing.New(cheap, limits.NewSlots(1, 1))
	if err != nil {
		t.Fatal(err)
	}
	old := api
	old.ID, old.SecretHash, old.CreatedAt, old.UpdatedAt = "a:b+%", hasher.Hash("s3cret:with%odd+chars"), time.Now(), time.Now()
	if err := db.CreateClient(t.Context(), old, audit.Event{Kind: audit.ClientCreated, Time: time.Now()}); err != nil {
		t.Fatal(err)
	}
	if _, err := registry.Authenticate(t.Context(), time.Now(), clients.Credentials{ID: old.ID, Secret: "s3cret:with%odd+chars"}, caller.Caller{Address: home}); err != nil {
		t.Error(err)
	}
	for range 100 {
		if secret := clients.GenerateSecret(); strings.ContainsAny(string(secret), "+%/=: ") {
			t.Fatalf("generated secret %q needs encoding", string(secret))
		}
	}
}

func TestRotateSecret(t *testing.T) {
	db := open(t)
	registry := newRegistry(t, db)
	register(t, registry, api, chosen)
	register(t, registry, spa, "")
	try := func(secret secrecy.Text) error {
		_, err := registry.Authenticate(t.Context(), time.Now(), clients.Credentials{ID: "api", Secret: secret}, caller.Caller{Address: home})
		return err
	}
	if err := try(chosen); err != nil { // now remembered as proven
		t.Fatal(err)
	}
	secret, err := registry.RotateSecret(t.Context(), time.Now(), "api", operatorAt(home, "r2"))
	if err != nil {
		t.Fatal(err)
	}
	if err := try(chosen); !errors.Is(err, clients.ErrBadCredentials) {
		t.Errorf("old secret: %v, want ErrBadClient", err)
	}
	if err := try(secret); err != nil {
		t.Errorf("new secret: %v", err)
	}
	if _, err := registry.RotateSecret(t.Context(), time.Now(), "spa", caller.Operator()); !errors.Is(err, clients.ErrPublic) {
		t.Errorf("public client: %v, want ErrPublicClient", err)
	}
	if _, err := registry.RotateSecret(t.Context(), time.Now(), "none", caller.Operator()); !errors.Is(err, clients.ErrUnknown) {
		t.Errorf("unknown client: %v, want ErrUnknownClient", err)
	}
	all := storetest.Events(t, db)
	if got, want := all[len(all)-1], "client.secret_rotated from 192.0.2.1 in r2"; got != want {
		t.Errorf("last event is %q, want %q", got, want)
	}
}

func TestListAndDeleteClients(t *testing.T) {
	registry := newRegistry(t, open(t))
	register(t, registry, spa, "")
	register(t, registry, api, chosen)
	list, err := registry.List(t.Context())
	if err != nil || len(list) != 2 || list[0].ID != "api" || list[1].ID != "spa" {
		t.Errorf("List = %+v, %v", list, err)
	}
	if err := registry.Delete(t.Context(), time.Now(), "spa", caller.Operator()); err != nil {
		t.Fatal(err)
	}
	if _, err := registry.Authenticate(t.Context(), time.Now(), clients.Credentials{ID: "spa"}, caller.Caller{Address: home}); !errors.Is(err, clients.ErrBadCredentials) {
		t.Errorf("deleted client: %v, want ErrBadClient", err)
	}
	if err := registry.Delete(t.Context(), time.Now(), "spa", caller.Operator()); !errors.Is(err, clients.ErrUnknown) {
		t.Errorf("deleting twice: %v, want ErrUnknownClient", err)
	}
}

// A client's scopes and audiences are in each of its tokens, which must fit into a
// header and into the limit of our own endpoints.
func TestWhatTokensCarryIsBounded(t *testing.T) {
	many := func(n, length int) (all []string) {
		for i := range n {
			all = append(all, fmt.Sprintf("%0*d", length, i))
		}
		return all
	}
	good := clients.Client{ID: "c", Settings: clients.Settings{Public: true, Grants: []string{"refresh_token"}}}
	for name, change := range map[string]func(*clients.Client){
		"too many scopes":    func(c *clients.Client) { c.Scopes = many(101, 5) },
		"too long scopes":    func(c *clients.Client) { c.Scopes = many(40, 60) },
		"too many audiences": func(c *clients.Client) { c.Audiences = many(11, 5) },
		"too long audiences": func(c *clients.Client) { c.Audiences = many(5, 300) },
		"":                   func(c *clients.Client) { c.Scopes, c.Audiences = many(100, 19), many(10, 100) },
	} {
		c := good
		change(&c)
		if err := clients.Check(c, "", clients.Rules{}); (err == nil) != (name == "") {
			t.Errorf("%q: %v", name, err)
		}
	}
}
