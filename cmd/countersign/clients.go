package main

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"countersign/api"
	"countersign/caller"
	"countersign/clients"
	"countersign/configs"
	"countersign/ids"
	"countersign/secrecy"
	"countersign/store"

	"github.com/alecthomas/kong"
)

type clientsCmd struct {
	Create       clientsCreateCmd       `cmd:"" help:"Register an application."`
	Update       clientsUpdateCmd       `cmd:"" help:"Change an application: what no flag names stays."`
	Presets      clientsPresetsCmd      `cmd:"" help:"List what clients create --preset knows."`
	List         clientsListCmd         `cmd:"" help:"List all applications."`
	Show         clientsShowCmd         `cmd:"" help:"Show one application."`
	RotateSecret clientsRotateSecretCmd `cmd:"" help:"Give an application a new generated secret."`
	Delete       clientsDeleteCmd       `cmd:"" help:"Delete an application and its sessions."`
}

// clientColumns are the columns of a client: all of them, or the few that a list has
// room for.
func clientColumns(list bool) []column[api.Client] {
	all := []column[api.Client]{{"id", func(c api.Client) string { return c.ID }, whole}}
	for field := range reflect.TypeFor[clients.Settings]().Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if list && !slices.Contains([]string{"name", "public", "first_party", "grants", "scopes"}, name) {
			continue
		}
		all = append(all, column[api.Client]{name, func(c api.Client) string {
			return setting(name, reflect.ValueOf(c.Settings).FieldByIndex(field.Index).Interface())
		}, field.Type.Kind() == reflect.Bool})
	}
	if list {
		return all
	}
	return append(all,
		column[api.Client]{"declared", func(c api.Client) string { return yesNo(c.Declared) }, cut},
		column[api.Client]{"created_at", func(c api.Client) string { return c.CreatedAt }, cut},
		column[api.Client]{"updated_at", func(c api.Client) string { return c.UpdatedAt }, cut})
}

// setting returns a client's setting as a table shows it.
func setting(name string, value any) string {
	switch value := value.(type) {
	case bool:
		return yesNo(value)
	case []string:
		if name == "grants" {
			return strings.Join(value, ",")
		}
		return strings.Join(value, " ")
	default:
		return fmt.Sprint(value)
	}
}

type clientsCreateCmd struct {
	printing
	ID             ids.Client `required:"" placeholder:"STRING" help:"The client_id."`
	SecretStdin    bool       `xor:"kind" help:"Read its secret from standard input; a terminal is asked for it."`
	GenerateSecret bool       `xor:"kind" help:"Generate its secret and print it once."`
	presetFlags

	clients.Settings
	PKCEOptional bool `hidden:"" name:"pkce-optional" help:"Has no effect: confidential clients need no PKCE unless --require-pkce is given."`
}

// Validate is called by kong.
func (cc *clientsCreateCmd) Validate() error {
	if cc.Preset == "" && cc.AppURL == "" && !cc.Public && !cc.SecretStdin && !cc.GenerateSecret {
		return errors.New("missing flags: --public or --secret-stdin or --generate-secret, or a --preset")
	}
	return nil
}

func (cc *clientsCreateCmd) Run(ctx context.Context, c *cli, kctx *kong.Context, std stdio) error {
	preset, err := cc.usePreset(kctx)
	if err != nil {
		return err
	}
	var chosen secrecy.Text
	switch {
	case cc.GenerateSecret:
		chosen = clients.GenerateSecret()
	case cc.SecretStdin:
		if chosen, err = std.secret(ctx, "Secret"); err != nil {
			return err
		}
	}
	if cc.PKCEOptional {
		std.note("--pkce-optional has no effect: confidential clients need no PKCE unless --require-pkce is given, public ones always do.")
	}
	registry, db, err := c.openClients(ctx, std.err)
	if err != nil {
		return err
	}
	defer db.Close()
	var configuration string
	if preset != nil { // before there is a client, so that an error leaves none
		if configuration, err = cc.configuration(ctx, c, db, *preset, chosen, std.err); err != nil {
			return err
		}
	}
	client, err := registry.Create(ctx, time.Now(), clients.Client{ID: cc.ID, Settings: cc.Settings}, chosen, caller.Operator())
	if err != nil {
		return err
	}
	record := api.DescribeClient(client)
	record.Configuration = configuration
	if cc.GenerateSecret {
		record.Secret = string(chosen)
	}
	return printClient(cc.printing, std, record)
}

// printClient prints a client with what is shown once: its secret, and the configuration of
// its library.
func printClient(p printing, std stdio, c api.Client) error {
	columns := clientColumns(false)
	if c.Secret != "" {
		std.note("Keep the client_secret now: it is not shown again.")
		columns = append(columns, column[api.Client]{"client_secret", func(c api.Client) string { return c.Secret }, cut})
	}
	if err := printOne(p, std.out, c, columns); err != nil || p.JSON || c.Configuration == "" {
		return err
	}
	_, err := fmt.Fprintf(std.out, "\n%s", c.Configuration)
	return err
}

// clientRules returns the rules for clients at the server of this database. Its signing
// keys decide the algorithms; before the first start, which makes the keys, the
// configuration does.
func clientRules(ctx context.Context, db *store.DB, cfg *configs.Config) (clients.Rules, error) {
	rules := cfg.ClientRules()
	purpose, err := db.Purpose(ctx)
	if err != nil {
		return rules, err
	}
	rules.AnyLoopback = purpose == store.Development
	all, err := db.Keys(ctx)
	if err != nil || len(all) == 0 {
		return rules, err
	}
	rules.Algorithms = nil
	for _, k := range all {
		if !slices.Contains(rules.Algorithms, k.Alg) {
			rules.Algorithms = append(rules.Algorithms, k.Alg)
		}
	}
	return rules, nil
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
	if len(all) == 0 {
		std.note("There is no client: 'countersign clients create --help' says how to register one.")
	}
	return printList(l.printing, std.out, api.List(all, api.DescribeClient), clientColumns(true))
}

type clientsShowCmd struct {
	printing
	ID ids.Client `arg:"" help:"The client_id."`
}

func (s *clientsShowCmd) Run(ctx context.Context, c *cli, std stdio) error {
	return withClients(ctx, c, s.ID, func(registry *clients.Registry, _ *store.DB) error {
		client, err := registry.ByID(ctx, s.ID)
		if err != nil {
			return err
		}
		return printOne(s.printing, std.out, api.DescribeClient(client), clientColumns(false))
	})
}

type clientsRotateSecretCmd struct {
	printing
	ID ids.Client `arg:"" help:"The client_id."`
}

func (r *clientsRotateSecretCmd) Run(ctx context.Context, c *cli, std stdio) error {
	return withClients(ctx, c, r.ID, func(registry *clients.Registry, _ *store.DB) error {
		// Read the client first: once the secret has changed, no error may prevent
		// printing it.
		client, err := registry.ByID(ctx, r.ID)
		if err != nil {
			return err
		}
		generated, err := registry.RotateSecret(ctx, time.Now(), r.ID, caller.Operator())
		if err != nil {
			return err
		}
		record := api.DescribeClient(client)
		record.Secret = string(generated)
		if client.Declared {
			std.note("This client is declared in the configuration: change its secret there too, or the next start restores the old one.")
		}
		return printClient(r.printing, std, record)
	})
}

type clientsDeleteCmd struct {
	ID ids.Client `arg:"" help:"The client_id."`
}

func (d *clientsDeleteCmd) Run(ctx context.Context, c *cli, std stdio) error {
	return withClients(ctx, c, d.ID, func(registry *clients.Registry, _ *store.DB) error {
		client, err := registry.ByID(ctx, d.ID)
		if err != nil {
			return err
		}
		if client.Declared {
			std.note("This client is declared in the configuration: remove it there too, or the next start restores it.")
		}
		return registry.Delete(ctx, time.Now(), d.ID, caller.Operator())
	})
}

// withClients opens the clients for do, and names the client in the error if it is
// unknown.
func withClients(ctx context.Context, c *cli, id ids.Client, do func(*clients.Registry, *store.DB) error) error {
	registry, db, err := c.openClients(ctx, nil)
	if err != nil {
		return err
	}
	defer db.Close()
	err = do(registry, db)
	if errors.Is(err, clients.ErrUnknown) {
		return fmt.Errorf("no client has the id %q: 'countersign clients list' shows all", id)
	}
	return err
}
