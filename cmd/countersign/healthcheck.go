package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"time"

	"countersign/configs"
)

type healthcheckCmd struct {
	Listen string `help:"Address the server listens on." placeholder:"HOST:PORT"`
}

func (h *healthcheckCmd) Run(ctx context.Context, c *cli) error {
	cfg, err := c.load(configs.Source{Listen: h.Listen})
	if err != nil {
		return err
	}
	host, port, err := net.SplitHostPort(cfg.Listen)
	if err != nil {
		return err
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort(host, port)+"/readyz", nil)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("the server does not answer: %w", err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("the server is not ready: %s", res.Status)
	}
	return nil
}
