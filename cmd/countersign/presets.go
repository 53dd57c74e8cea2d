package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"reflect"

	"countersign/clients"
	"countersign/configs"
	"countersign/presets"
	"countersign/secrecy"
	"countersign/store"

	"github.com/alecthomas/kong"
)

type clientsPresetsCmd struct{ printing }

var presetColumns = []column[presets.Preset]{
	{"name", func(p presets.Preset) string { return p.Name }, cut},
	{"for", func(p presets.Preset) string { return p.Library }, cut},
}

func (l *clientsPresetsCmd) Run(std stdio) error {
	all := presets.All()
	for i := range all {
		all[i].Settings = all[i].Settings.Whole()
	}
	return printList(l.printing, std.out, all, presetColumns)
}

// presetFlags ask for what a library needs.
type presetFlags struct {
	Preset string `placeholder:"NAME" help:"What a library needs, and its configuration; other flags win. 'clients presets' lists the names."`
	AppURL string `name:"app-url" placeholder:"URL" help:"With --preset: the application's address, which makes its redirect URI."`
}

// named returns the preset that is asked for, or nil, and what it sets for the application's
// address.
func (f presetFlags) named() (*presets.Preset, clients.Settings, error) {
	switch {
	case f.Preset == "" && f.AppURL != "":
		return nil, clients.Settings{}, fmt.Errorf("--app-url goes with --preset: without one, give the redirect URI with --redirect-uri: %w", errUsage)
	case f.Preset == "":
		return nil, clients.Settings{}, nil
	}
	preset, err := presets.Named(f.Preset)
	if err != nil {
		return nil, clients.Settings{}, fmt.Errorf("--preset: %w: %w", err, errUsage)
	}
	settings, err := preset.At(f.AppURL)
	if err != nil {
		return nil, clients.Settings{}, fmt.Errorf("--app-url %q %w: %w", f.AppURL, err, errUsage)
	}
	return &preset, settings, nil
}

// givenFlags returns the flags of the command that are given, by the address of what they
// set. --json is none of them.
func givenFlags(kctx *kong.Context) map[any]bool {
	given := map[any]bool{}
	for _, flag := range kctx.Selected().Flags {
		if flag.Set && flag.Name != "json" {
			given[flag.Target.Addr().Interface()] = true
		}
	}
	return given
}

// usePreset returns the preset that is asked for, or nil, and sets what the preset says
// and no flag does.
func (cc *clientsCreateCmd) usePreset(kctx *kong.Context) (*presets.Preset, error) {
	preset, settings, err := cc.named()
	if preset == nil {
		return nil, err
	}
	secret := cc.SecretStdin || cc.GenerateSecret
	switch public := preset.Settings.Public; {
	case public && secret:
		return nil, fmt.Errorf("--preset %s is for an application that can't keep a secret: leave out --secret-stdin and --generate-secret: %w", cc.Preset, errUsage)
	case !public && cc.Public && !preset.API:
		return nil, fmt.Errorf("--preset %s is for an application with a secret: leave out --public: %w", cc.Preset, errUsage)
	case !public && !cc.Public && !secret:
		cc.GenerateSecret = true
	}
	given := givenFlags(kctx)
	to, from := reflect.ValueOf(&cc.Settings).Elem(), reflect.ValueOf(settings)
	for i := range to.NumField() {
		if field := to.Field(i); !given[field.Addr().Interface()] {
			field.Set(from.Field(i))
		}
	}
	if err := preset.Missing(cc.Settings); err != nil {
		return nil, fmt.Errorf("--preset %s %w: %w", cc.Preset, err, errUsage)
	}
	return preset, nil
}

// chosenSecret stands for a secret that the operator chose, because no output shows it.
const chosenSecret = "THE-SECRET-THAT-YOU-CHOSE"

// configuration returns the configuration of the preset's library for this client.
func (cc *clientsCreateCmd) configuration(ctx context.Context, c *cli, db *store.DB, preset presets.Preset, secret secrecy.Text, news io.Writer) (string, error) {
	issuer, err := c.issuer(ctx, db, news)
	if err != nil {
		return "", err
	}
	values := presets.Values{Settings: cc.Settings, Issuer: issuer, ID: string(cc.ID), Secret: string(secret)}
	if cc.SecretStdin {
		values.Secret = chosenSecret
	}
	return preset.Configuration(values)
}

// unknownIssuer stands for the issuer where the command can't know it.
const unknownIssuer = "https://auth.example.com"

// issuer returns the issuer of the server of this database, as far as a command knows it: a
// data folder alone is enough for a command, but doesn't say the issuer.
func (c *cli) issuer(ctx context.Context, db *store.DB, news io.Writer) (string, error) {
	cfg, err := c.load(configs.Source{})
	if err != nil {
		return "", err
	}
	if cfg.Issuer != "" {
		return cfg.Issuer, nil
	}
	purpose, err := db.Purpose(ctx)
	if err != nil {
		return "", err
	}
	assumed := unknownIssuer
	if purpose == store.Development {
		dev, err := c.load(configs.Source{Dev: true})
		if err != nil {
			return "", err
		}
		assumed = cmp.Or(dev.Issuer, assumed)
	}
	fmt.Fprintf(news, "This command does not know the issuer, and prints %s: replace that if it is wrong, and give --config or COUNTERSIGN_ISSUER next time.\n", assumed)
	return assumed, nil
}
