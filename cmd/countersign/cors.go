package main

import (
	"context"
	"fmt"
	"strings"

	"countersign/configs"
	"countersign/server"
)

type corsCmd struct {
	Explain corsExplainCmd `cmd:"" help:"Say which rule lets an origin in or keeps it out."`
}

type corsExplainCmd struct {
	Dev    bool   `help:"Decide as serve --dev would."`
	Origin string `arg:"" help:"The page's origin, such as https://app.example.com."`
	Method string `help:"The request's method (default: POST, or GET for public documents)." placeholder:"M"`
	Path   string `arg:"" help:"The path it calls, such as /oauth/token."`
}

func (e *corsExplainCmd) Run(ctx context.Context, c *cli, std stdio) error {
	cfg, err := c.load(configs.Source{Dev: e.Dev})
	if err != nil {
		return err
	}
	if !strings.HasPrefix(e.Path, "/") {
		return fmt.Errorf("the path must begin with /: %w", errUsage)
	}
	db, err := openStore(ctx, cfg, existingUnmigrated)
	if err != nil {
		return err
	}
	defer db.Close()
	policy := server.NewCORS(cfg.Issuer, cfg.CORS.AllowedOrigins, db.Origins)
	why, ok := policy.Explain(ctx, e.Origin, e.Method, e.Path)
	if ok && len(cfg.Cookieless([]string{e.Origin})) > 0 {
		why += "; but it " + configs.OtherSite
	}
	_, err = fmt.Fprintln(std.out, visible(why, ""))
	return err
}
