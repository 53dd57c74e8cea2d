// Command countersign is an authorization server: it signs users up, signs them in and
// gives their applications tokens that any resource server can verify. countersign
// --help documents its commands.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"

	"countersign/store"

	"github.com/alecthomas/kong"
)

func main() {
	stops := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) { // as nohup sets it
		stops = append(stops, syscall.SIGHUP)
	}
	ctx, stop := signal.NotifyContext(context.Background(), stops...)
	// Once told to stop, a second signal ends the process the default way.
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Args[1:], stdio{os.Stdin, os.Stdout, os.Stderr}))
}

// stdio is where a command reads and writes.
type stdio struct {
	in       io.Reader
	out, err io.Writer
}

// note prints a line for the operator, beside what the command prints.
func (s stdio) note(format string, args ...any) {
	fmt.Fprintln(s.err, visible(fmt.Sprintf(format, args...), ""))
}

// cli is the command tree.
type cli struct {
	Config string           `help:"Configuration file." env:"COUNTERSIGN_CONFIG" placeholder:"FILE"`
	Data   string           `help:"Data folder: its database and master key, unless configured otherwise (default: ./countersign-data)." env:"COUNTERSIGN_DATA" placeholder:"DIR"`
	Short  kong.VersionFlag `name:"version" help:"Print the version in one line."`

	Serve   serveCmd   `cmd:"" help:"Run the server until it is told to stop."`
	Migrate migrateCmd `cmd:"" help:"Migrate the database to this version's schema."`
	Move    moveCmd    `cmd:"" help:"Move everything to another database."`

	Users    usersCmd    `cmd:"" help:"Users' accounts."`
	Clients  clientsCmd  `cmd:"" help:"Applications that ask for tokens."`
	Keys     keysCmd     `cmd:"" help:"Signing keys."`
	Sessions sessionsCmd `cmd:"" help:"Signed-in sessions."`
	CORS     corsCmd     `cmd:"" name:"cors" help:"Which web pages may call the server."`
	Mail     mailCmd     `cmd:"" help:"Letters to users."`
	Audit    auditCmd    `cmd:"" help:"Security events."`

	Conf        configCmd      `cmd:"" name:"config" help:"The configuration in force."`
	Healthcheck healthcheckCmd `cmd:"" help:"Exit 0 if the local server is ready (for containers)."`
	Version     versionCmd     `cmd:"" help:"Print the version."`
}

// Exit codes.
const (
	exitFailed = 1
	exitUsage  = 2
)

// errUsage marks an error as wrong usage that the parser can't detect.
var errUsage = errors.New("wrong usage")

// run parses and runs one command and returns the exit code.
func run(ctx context.Context, args []string, io stdio) int {
	io.out = &visibleWriter{w: io.out}
	var c cli
	exited := -1
	parser, err := kong.New(&c,
		kong.Name("countersign"),
		kong.Description("An authorization server for your own apps' sign-up and sign-in."),
		kong.Vars{"batch": strconv.Itoa(store.DefaultBatch), "version": version().String()},
		kong.Writers(io.out, io.err),
		kong.Exit(func(code int) { exited = code }),
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(io, &c),
	)
	if err != nil {
		panic(err) // the command tree above is malformed
	}
	command, err := parser.Parse(args)
	if exited >= 0 { // kong has printed the help and wants to exit
		return exited
	}
	if err != nil {
		fmt.Fprintf(io.err, "countersign: %s (see %s --help)\n", visible(err.Error(), ""), commandOf(err))
		return exitUsage
	}
	switch err := command.Run(); {
	case err == nil:
		return 0
	case errors.Is(err, errUsage):
		fmt.Fprintf(io.err, "countersign: %s\n", visible(strings.TrimSuffix(err.Error(), ": "+errUsage.Error()), ""))
		return exitUsage
	default:
		for line := range strings.Lines(err.Error()) {
			fmt.Fprintf(io.err, "countersign: %s\n", visible(strings.TrimRight(line, "\r\n"), ""))
		}
		return exitFailed
	}
}

// commandOf returns the command whose arguments can't be read, as a user types it.
func commandOf(err error) string {
	words := []string{"countersign"}
	if p, ok := errors.AsType[*kong.ParseError](err); ok {
		for _, step := range p.Context.Path {
			if step.Command != nil {
				words = append(words, step.Command.Name)
			}
		}
	}
	return strings.Join(words, " ")
}
