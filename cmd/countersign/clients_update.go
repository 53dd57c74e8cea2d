package main

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"time"

	"countersign/api"
	"countersign/caller"
	"countersign/clients"
	"countersign/ids"
	"countersign/presets"
	"countersign/secrecy"
	"countersign/store"

	"github.com/alecthomas/kong"
)

type clientsUpdateCmd struct {
	printing
	ID             ids.Client `arg:"" help:"The client_id."`
	SecretStdin    bool       `xor:"kind" help:"Replace its secret by one from standard input; a terminal is asked for it."`
	GenerateSecret bool       `xor:"kind" help:"Replace its secret by a generated one and print it once."`
	presetFlags

	clients.Settings `group:"What it has (a list replaces the present one):"`
	listChanges      `group:"What a list has more or less:"`
	PKCEOptional     bool `hidden:"" name:"pkce-optional" help:"Has no effect, as with clients create."`
}

// listChanges are what is added to and removed from each list of [clients.Settings]: a pair
// of fields named after the list's.
type listChanges struct {
	AddGrants                    []string `name:"add-grant" placeholder:"G" help:"One more grant; may be repeated, as all of these."`
	RemoveGrants                 []string `name:"remove-grant" placeholder:"G" help:"One grant less."`
	AddScopes                    []string `name:"add-scope" placeholder:"S" help:"One more scope."`
	RemoveScopes                 []string `name:"remove-scope" placeholder:"S" help:"One scope less."`
	AddAudiences                 []string `name:"add-audience" placeholder:"A" sep:"none" help:"One more audience."`
	RemoveAudiences              []string `name:"remove-audience" placeholder:"A" sep:"none" help:"One audience less."`
	AddRedirectURIs              []string `name:"add-redirect-uri" placeholder:"U" sep:"none" help:"One more redirect URI."`
	RemoveRedirectURIs           []string `name:"remove-redirect-uri" placeholder:"U" sep:"none" help:"One redirect URI less."`
	AddPostLogoutRedirectURIs    []string `name:"add-post-logout-redirect-uri" placeholder:"U" sep:"none" help:"One more address to go to after signing out."`
	RemovePostLogoutRedirectURIs []string `name:"remove-post-logout-redirect-uri" placeholder:"U" sep:"none" help:"One such address less."`
	AddOrigins                   []string `name:"add-origin" placeholder:"O" sep:"none" help:"One more web origin."`
	RemoveOrigins                []string `name:"remove-origin" placeholder:"O" sep:"none" help:"One web origin less."`
}

func (u *clientsUpdateCmd) Run(ctx context.Context, c *cli, kctx *kong.Context, std stdio) error {
	preset, needed, err := u.named()
	if err != nil {
		return err
	}
	given := givenFlags(kctx)
	if len(given) == 0 {
		return fmt.Errorf("nothing says what to change: 'countersign clients update --help' lists the flags: %w", errUsage)
	}
	var chosen secrecy.Text
	switch {
	case u.GenerateSecret:
		chosen = clients.GenerateSecret()
	case u.SecretStdin:
		if chosen, err = std.secret(ctx, "Secret"); err != nil {
			return err
		}
	}
	return withClients(ctx, c, u.ID, func(registry *clients.Registry, db *store.DB) error {
		values := presets.Values{ID: string(u.ID), Secret: chosenSecret}
		if u.GenerateSecret {
			values.Secret = string(chosen)
		}
		if preset != nil {
			if values.Issuer, err = c.issuer(ctx, db, std.err); err != nil {
				return err
			}
		}
		var absent []string
		var configuration string
		client, change, err := registry.Update(ctx, time.Now(), u.ID, func(s clients.Settings) (clients.Settings, error) {
			if preset != nil {
				s = withNeeded(s, needed)
			}
			if s, absent = u.edit(s, given); preset == nil {
				return s, nil
			}
			if err := u.suits(preset, s); err != nil {
				return s, err
			}
			var err error
			values.Settings = s
			configuration, err = preset.Configuration(values) // before anything changes, so that an error leaves all as it is
			return s, err
		}, chosen, caller.Operator())
		if err != nil {
			return err
		}
		for _, value := range absent {
			std.note("The client has no %s to remove.", value)
		}
		if change == clients.Unchanged {
			std.note("Nothing changes: the client is so already.")
		}
		if client.Declared {
			std.note("This client is declared in the configuration: change it there too, or the next start restores it.")
		}
		record := api.DescribeClient(client)
		if u.GenerateSecret {
			record.Secret = string(chosen)
		}
		record.Configuration = configuration
		return printClient(u.printing, std, record)
	})
}

// edit returns the settings that the flags make of s, and what they remove that isn't there.
func (u *clientsUpdateCmd) edit(s clients.Settings, given map[any]bool) (edited clients.Settings, absent []string) {
	to, from, lists := reflect.ValueOf(&s).Elem(), reflect.ValueOf(&u.Settings).Elem(), reflect.ValueOf(u.listChanges)
	for i := range to.NumField() {
		if given[from.Field(i).Addr().Interface()] {
			to.Field(i).Set(from.Field(i))
		}
		list, ok := to.Field(i).Interface().([]string)
		if !ok {
			continue
		}
		name := to.Type().Field(i).Name
		list = union(list, lists.FieldByName("Add"+name).Interface().([]string))
		for _, value := range lists.FieldByName("Remove" + name).Interface().([]string) {
			if !slices.Contains(list, value) {
				absent = append(absent, to.Type().Field(i).Tag.Get("name")+" "+value)
			}
			list = slices.DeleteFunc(list, func(v string) bool { return v == value })
		}
		to.Field(i).Set(reflect.ValueOf(list))
	}
	if u.GenerateSecret || u.SecretStdin {
		s.Public = false
	}
	return s, absent
}

// union returns a new list of what is in a, and then what is only in b.
func union(a, b []string) []string {
	all := slices.Clone(a)
	for _, value := range b {
		if !slices.Contains(all, value) {
			all = append(all, value)
		}
	}
	return all
}

// withNeeded returns s with what a library needs: its lists have what the needed ones have,
// and more.
func withNeeded(s, needed clients.Settings) clients.Settings {
	to, from := reflect.ValueOf(&s).Elem(), reflect.ValueOf(needed)
	for i := range to.NumField() {
		switch list, ok := from.Field(i).Interface().([]string); {
		case ok:
			to.Field(i).Set(reflect.ValueOf(union(to.Field(i).Interface().([]string), list)))
		case to.Type().Field(i).Name != "Public" && !from.Field(i).IsZero():
			to.Field(i).Set(from.Field(i))
		}
	}
	return s
}

// suits returns what keeps a client with these settings from being what the preset is for.
func (u *clientsUpdateCmd) suits(preset *presets.Preset, s clients.Settings) error {
	switch public := preset.Settings.Public; {
	case public && !s.Public:
		return fmt.Errorf("--preset %s is for an application that can't keep a secret: add --public: %w", u.Preset, errUsage)
	case !public && s.Public && !preset.API:
		return fmt.Errorf("--preset %s is for an application with a secret: add --generate-secret: %w", u.Preset, errUsage)
	}
	if err := preset.Missing(s); err != nil {
		return fmt.Errorf("--preset %s %w: %w", u.Preset, err, errUsage)
	}
	return nil
}
