package main

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"countersign/configs"
	"countersign/theme"
)

type configCmd struct {
	Check configCheckCmd `cmd:"" help:"Check the configuration, without opening the database."`
	Show  configShowCmd  `cmd:"" help:"Show every setting and where it comes from, secrets masked."`
}

type configCheckCmd struct {
	Dev bool `help:"Check it for serve --dev."`
}

func (cc *configCheckCmd) Run(c *cli, std stdio) error {
	cfg, err := c.load(configs.Source{Serve: true, Dev: cc.Dev})
	if err != nil {
		return err
	}
	if _, err := masterKeys(cfg, false); err != nil && !(cc.Dev && errors.Is(err, fs.ErrNotExist)) { // serve --dev creates a master key
		return err
	}
	if _, err := storeOptions(cfg); err != nil {
		return err
	}
	if _, err := mailSender(cfg, std.err); err != nil {
		return err
	}
	if _, err := declaredClients(cfg); err != nil {
		return err
	}
	if _, err := theme.Load(cfg.Theme); err != nil {
		return err
	}
	if len(cfg.ServiceLinks) > 0 {
		std.note("not settings, but what Kubernetes sets for its services: %s", strings.Join(cfg.ServiceLinks, ", "))
	}
	for _, key := range cfg.Unused() {
		std.note("%s has no effect in this version", key)
	}
	for _, origin := range cfg.Cookieless(cfg.CORS.AllowedOrigins) {
		std.note("cors.allowed_origins: %s %s", origin, configs.OtherSite)
	}
	_, err = fmt.Fprintln(std.out, "the configuration is valid (the database and its clients were not checked)")
	return err
}

type configShowCmd struct {
	printing
	Dev bool `help:"Show it for serve --dev."`
}

var settingColumns = []column[configs.Setting]{
	{"key", func(s configs.Setting) string { return s.Key }, whole},
	{"value", func(s configs.Setting) string { return s.Value }, cut},
	{"source", func(s configs.Setting) string { return s.Source }, cut},
}

func (cs *configShowCmd) Run(c *cli, std stdio) error {
	cfg, err := c.load(configs.Source{Dev: cs.Dev})
	if err != nil {
		return err
	}
	return printList(cs.printing, std.out, cfg.Show(), settingColumns)
}
