package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"countersign/api"
	"countersign/caller"
	"countersign/clients"
	"countersign/store"
)

type clientsCmd struct {
	Create       clientsCreateCmd       `cmd:"" help:"Register an application."`
	List         clientsListCmd         `cmd:"" help:"List all applications."`
	Show         clientsShowCmd         `cmd:"" help:"Show one application."`
	RotateSecret clientsRotateSecretCmd `cmd:"" help:"Give an application a new generated secret."`
	Delete       clientsDeleteCmd       `cmd:"" help:"Delete an application and its sessions."`
}

var clientColumns = []column[api.Client]{
	{"id", func(c api.Client) string { return c.ID }},
	{"name", func(c api.Client) string { return c.Name }},
	{"public", func(c api.Client) string { return yesNo(c.Public) }},
	{"first_party", func(c api.Client) string { return yesNo(c.FirstParty) }},
	{"grants", func(c api.Client) string { return strings.Join(c.Grants, ",") }},
	{"scopes", func(c api.Client) string { return strings.Join(c.Scopes, " ") }},
}

// clientDetails are the columns of one client; a list would be too wide.
var clientDetails = append(clientColumns[:len(clientColumns):len(clientColumns)], []column[api.Client]{
	{"audiences", func(c api.Client) string { return strings.Join(c.Audiences, " ") }},
	{"redirect_uris", func(c api.Client) string { return strings.Join(c.RedirectURIs, " ") }},
	{"post_logout_redirect_uris", func(c api.Client) string { return strings.Join(c.PostLogoutRedirectURIs, " ") }},
	{"origins", func(c api.Client) string { return strings.Join(c.Origins, " ") }},
	{"may_introspect", func(c api.Client) string { return yesNo(c.MayIntrospect) }},
	{"pkce_optional", func(c api.Client) string { return yesNo(c.PKCEOptional) }},
	{"id_token_alg", func(c api.Client) string { return c.IDTokenAlg }},
	{"declared", func(c api.Client) string { return yesNo(c.Declared) }},
	{"created_at", func(c api.Client) string { return c.CreatedAt }},
	{"updated_at", func(c api.Client) string { return c.UpdatedAt }},
}...)

// withSecret adds the line that is printed once.
func withSecret(columns []column[api.Client], c api.Client) []column[api.Client] {
	if c.Secret == "" {
		return columns
	}
	return append(columns[:len(columns):len(columns)],
		column[api.Client]{"client_secret", func(c api.Client) string { return c.Secret }})
}

type clientsCreateCmd struct {
	printing
	ID             string `required:"" help:"The client_id."`
	Public         bool   `xor:"kind" required:"" help:"Can't keep a secret: a browser or native app."`
	SecretStdin    bool   `xor:"kind" required:"" help:"Read its secret from standard input."`
	GenerateSecret bool   `xor:"kind" required:"" help:"Generate its secret and print it once."`

	Grant                 []string `required:"" placeholder:"G" help:"password, refresh_token, authorization_code or client_credentials; may be repeated."`
	FirstParty            bool     `help:"Ours: may use the password grant, needs no consent."`
	RedirectURI           []string `name:"redirect-uri" placeholder:"U" sep:"none" help:"Where codes may be sent; may be repeated."`
	PostLogoutRedirectURI []string `name:"post-logout-redirect-uri" placeholder:"U" sep:"none" help:"Where browsers may go after signing out; may be repeated."`
	Origin                []string `placeholder:"O" sep:"none" help:"Web origin whose scripts may call the server; may be repeated."`
	Scope                 []string `placeholder:"S" help:"Scope it may ask for; may be repeated."`
	Audience              []string `placeholder:"A" sep:"none" help:"Audience of its access tokens; may be repeated."`
	MayIntrospect         bool     `help:"May ask about tokens (RFC 7662)."`
	PKCEOptional          bool     `name:"pkce-optional" help:"May use codes without PKCE."`
	IDTokenAlg            string   `name:"id-token-alg" placeholder:"ALG" help:"Signature algorithm of its ID tokens."`
	Name                  string   `placeholder:"N" help:"Name shown to people."`
}

func (cc *clientsCreateCmd) Run(ctx context.Context, c *cli, std stdio) error {
	var secret string
	switch {
	case cc.GenerateSecret:
		secret = clients.GenerateSecret()
	case cc.SecretStdin:
		var err error
		if secret, err = readSecret(std.in); err != nil {
			return err
		}
	}
	registry, db, err := c.openClients(ctx, std.err)
	if err != nil {
		return err
	}
	defer db.Close()
	if err := hasSigningKey(ctx, db, cc.IDTokenAlg); err != nil {
		return err
	}
	name := cc.Name
	if name == "" {
		name = cc.ID
	}
	client, err := registry.Create(ctx, time.Now(), clients.Client{
		ID: cc.ID, Name: name, Public: cc.Public, FirstParty: cc.FirstParty, Grants: cc.Grant,
		RedirectURIs: cc.RedirectURI, PostLogoutRedirectURIs: cc.PostLogoutRedirectURI, Origins: cc.Origin,
		Scopes: cc.Scope, Audiences: cc.Audience, MayIntrospect: cc.MayIntrospect, PKCEOptional: cc.PKCEOptional,
		IDTokenAlg: cc.IDTokenAlg,
	}, secret, caller.Operator())
	if err != nil {
		return err
	}
	record := api.DescribeClient(client)
	if cc.GenerateSecret {
		record.Secret = secret
		fmt.Fprintln(std.err, "Keep the client_secret now: it is not shown again.")
	}
	return printOne(cc.printing, std.out, record, withSecret(clientDetails, record))
}

// hasSigningKey refuses an algorithm of which the server has no key: every
// sign-in at the client would fail. Before the first serve nothing is known.
func hasSigningKey(ctx context.Context, db *store.DB, alg string) error {
	all, err := db.Keys(ctx)
	if err != nil || len(all) == 0 || alg == "" {
		return err
	}
	var algs []string
	for _, k := range all {
		if k.Alg == alg {
			return nil
		}
		if !slices.Contains(algs, k.Alg) {
			algs = append(algs, k.Alg)
		}
	}
	return fmt.Errorf("the server has no signing key of the algorithm %q, only of %s: choose one of those, or add it to keys.algorithms",
		alg, strings.Join(algs, " and "))
}

type clientsListCmd struct{ printing }

func (l *clientsListCmd) Run(ctx context.Context, c *cli, std stdio) error {
	registry, db, err := c.openClients(ctx, nil)
	if err != nil {
		return err
	}
	defer db.Close()
	all, err := registry.List(ctx)
	if err != nil {
		return err
	}
	return printList(l.printing, std.out, api.List(all, api.DescribeClient), clientColumns)
}

type clientsShowCmd struct {
	printing
	ID string `arg:"" help:"The client_id."`
}

func (s *clientsShowCmd) Run(ctx context.Context, c *cli, std stdio) error {
	return withClients(ctx, c, s.ID, func(registry *clients.Registry) error {
		client, err := registry.ByID(ctx, s.ID)
		if err != nil {
			return err
		}
		return printOne(s.printing, std.out, api.DescribeClient(client), clientDetails)
	})
}

type clientsRotateSecretCmd struct {
	printing
	ID string `arg:"" help:"The client_id."`
}

func (r *clientsRotateSecretCmd) Run(ctx context.Context, c *cli, std stdio) error {
	return withClients(ctx, c, r.ID, func(registry *clients.Registry) error {
		// Read before: once the secret has changed, nothing may keep it from
		// being printed.
		client, err := registry.ByID(ctx, r.ID)
		if err != nil {
			return err
		}
		secret, err := registry.RotateSecret(ctx, time.Now(), r.ID, caller.Operator())
		if err != nil {
			return err
		}
		record := api.DescribeClient(client)
		record.Secret = secret
		fmt.Fprintln(std.err, "Keep the client_secret now: it is not shown again.")
		if client.Declared {
			fmt.Fprintln(std.err, "This client is declared in the configuration: change its secret there too, or the next start puts it back.")
		}
		return printOne(r.printing, std.out, record, withSecret(clientDetails, record))
	})
}

type clientsDeleteCmd struct {
	ID string `arg:"" help:"The client_id."`
}

func (d *clientsDeleteCmd) Run(ctx context.Context, c *cli, std stdio) error {
	return withClients(ctx, c, d.ID, func(registry *clients.Registry) error {
		client, err := registry.ByID(ctx, d.ID)
		if err != nil {
			return err
		}
		if client.Declared {
			fmt.Fprintln(std.err, "This client is declared in the configuration: take it out there too, or the next start brings it back.")
		}
		return registry.Delete(ctx, time.Now(), d.ID, caller.Operator())
	})
}

// withClients opens the clients and says which is missing if one is.
func withClients(ctx context.Context, c *cli, id string, do func(*clients.Registry) error) error {
	registry, db, err := c.openClients(ctx, nil)
	if err != nil {
		return err
	}
	defer db.Close()
	err = do(registry)
	if errors.Is(err, clients.ErrUnknown) {
		return fmt.Errorf("no client has the id %q: 'countersign clients list' shows all", id)
	}
	return err
}
