package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/term"

	"countersign/secrecy"
)

// secret reads a password or a client's secret from standard input, as secrecy.Read has it.
// At a terminal it asks twice, by what it is called, and shows nothing of what is typed.
func (s stdio) secret(ctx context.Context, called string) (secrecy.Text, error) {
	const most = 64 << 10
	if f, ok := s.in.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return s.typed(ctx, f, called)
	}
	b, err := io.ReadAll(io.LimitReader(s.in, most+1))
	if err != nil {
		return "", fmt.Errorf("read standard input: %w", err)
	}
	text := secrecy.Read(b)
	switch {
	case len(b) > most:
		return "", fmt.Errorf("standard input has more than %d bytes: pipe the password or secret alone into the command", most)
	case text == "":
		return "", errors.New("standard input is empty: pipe the password or secret into the command")
	}
	return text, nil
}

// typed is secret at a terminal.
func (s stdio) typed(ctx context.Context, tty *os.File, called string) (secrecy.Text, error) {
	var lines [2]string
	for i, prompt := range []string{called + ": ", called + " again: "} {
		fmt.Fprint(s.err, prompt)
		line, err := hidden(ctx, tty)
		fmt.Fprintln(s.err)
		switch {
		case err != nil:
			return "", err
		case line == "":
			return "", errors.New("nothing was typed: nothing has changed")
		}
		lines[i] = line
	}
	if lines[0] != lines[1] {
		return "", errors.New("the two that were typed differ: nothing has changed")
	}
	return secrecy.Text(lines[0]), nil
}

// hidden reads a line from a terminal that shows nothing of it. If ctx ends first, as by
// Ctrl-C, the terminal shows again what is typed.
func hidden(ctx context.Context, tty *os.File) (string, error) {
	fd := int(tty.Fd())
	shown, err := term.GetState(fd)
	if err != nil {
		return "", fmt.Errorf("read from the terminal: %w", err)
	}
	type read struct {
		line []byte
		err  error
	}
	done := make(chan read, 1)
	go func() {
		line, err := term.ReadPassword(fd)
		done <- read{line, err}
	}()
	select {
	case r := <-done:
		if r.err != nil && !errors.Is(r.err, io.EOF) {
			return "", fmt.Errorf("read from the terminal: %w", r.err)
		}
		return string(r.line), nil
	case <-ctx.Done():
		term.Restore(fd, shown)
		return "", errors.New("interrupted: nothing has changed")
	}
}
