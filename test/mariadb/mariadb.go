// Package mariadb runs private MariaDB servers for tests: real servers, each in a
// temporary folder and on a loopback port of its own. They leave nothing behind, even if
// the test binary is killed.
package mariadb

import (
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	_ "github.com/go-sql-driver/mysql"
)

// Available returns nil if a server can run here, and otherwise the reason why not.
func Available() error {
	_, err := programs()
	return err
}

// programs finds mariadbd and the program that makes its first tables.
func programs() (found [2]string, err error) {
	for i, name := range []string{"mariadbd", "mariadb-install-db"} {
		for _, dir := range append(filepath.SplitList(os.Getenv("PATH")), "/usr/sbin", "/usr/bin", "/usr/local/bin", "/opt/homebrew/bin") {
			path, err := exec.LookPath(filepath.Join(dir, name))
			if found[i] == "" && err == nil {
				found[i] = path
			}
		}
		if found[i] == "" {
			return found, fmt.Errorf("there is no %s: install mariadb-server", name)
		}
	}
	return found, nil
}

// A Server is a private mariadbd. Its root user has no password. A commit is on disk
// before it is acknowledged, as in production.
type Server struct {
	elsewhere string // address, if the package didn't start the server

	folder string
	keeper *keeper
	port   int
	held   []io.Closer // keep the server's ports from other tests
	user   []string    // --user, if root starts it
	args   []string
	wsrep  []string // arguments that make it a node of a cluster
	daemon *daemon
}

// Start starts a server, with more arguments for mariadbd if given, and waits
// until it answers.
func Start(args ...string) (*Server, error) {
	return start(func(*Server) error { return nil }, args...)
}

// start is Start of a server that prepare changes before its first start.
func start(prepare func(*Server) error, args ...string) (*Server, error) {
	s, err := create(args...)
	if err == nil {
		err = s.install()
	}
	if err == nil {
		err = prepare(s)
	}
	if err == nil {
		err = s.Restart()
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// At returns a server that already runs at addr, whose root user has no password. Its
// methods can't kill or stop it.
func At(addr string) *Server { return &Server{elsewhere: addr} }

// create makes a server's empty folder. The caller must close the server even after an
// error.
func create(args ...string) (*Server, error) {
	s := &Server{args: args}
	var err error
	if s.folder, err = os.MkdirTemp("", "mdb"); err != nil { // short, because a socket's path must be short
		return s, err
	}
	if s.keeper, err = keep(s.folder); err != nil {
		return s, err
	}
	if s.port, err = s.reserve(); err != nil {
		return s, err
	}
	s.user, err = asUser(s.folder)
	return s, err
}

// logFileSize is smaller than a server's default, which takes longer to make.
const logFileSize = "--innodb-log-file-size=48M"

// install makes the server's first tables.
func (s *Server) install() error {
	found, err := programs()
	if err != nil {
		return err
	}
	install := s.command(found[1], append([]string{"--no-defaults", "--datadir=" + s.data(), logFileSize,
		"--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve"}, s.user...))
	if out, err := install.CombinedOutput(); err != nil {
		return fmt.Errorf("mariadb-install-db: %w\n%s", err, out)
	}
	return nil
}

// command returns a command that ends with the server.
func (s *Server) command(path string, args []string) *exec.Cmd {
	cmd := exec.Command(path, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pgid: s.keeper.group}
	cmd.Env = append(os.Environ(), "TMPDIR="+s.folder)
	return cmd
}

// asUser makes a server that root starts run as the user of MariaDB's package: the
// program that copies data between nodes doesn't run as root.
func asUser(folder string) ([]string, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup("mysql")
	if err != nil {
		return []string{"--user=root"}, nil
	}
	uid, err1 := strconv.Atoi(u.Uid)
	gid, err2 := strconv.Atoi(u.Gid)
	return []string{"--user=mysql"}, errors.Join(err1, err2, os.Chown(folder, uid, gid))
}

// reserve finds a free port that no other program gets while the server is down. It is
// below the ports that systems give to outgoing connections, and reserve holds the UDP
// port of the same number until Close, which tells other tests that the port is taken.
func (s *Server) reserve() (int, error) {
	for range 1000 {
		port := 10000 + rand.IntN(20000)
		held, err := net.ListenPacket("udp", local(port))
		if err != nil {
			continue
		}
		ln, err := net.Listen("tcp", local(port))
		if err != nil {
			held.Close()
			continue
		}
		s.held = append(s.held, held)
		return port, ln.Close()
	}
	return 0, errors.New("found no free port")
}

func local(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

func (s *Server) data() string   { return filepath.Join(s.folder, "data") }
func (s *Server) socket() string { return filepath.Join(s.folder, "s") }
func (s *Server) log() string    { return filepath.Join(s.folder, "log") }

// Addr returns the loopback address that the server listens on.
func (s *Server) Addr() string {
	if s.elsewhere != "" {
		return s.elsewhere
	}
	return local(s.port)
}

// URL returns the store's URL of a database. It doesn't create the database.
func (s *Server) URL(database string) string { return "mysql://root@" + s.Addr() + "/" + database }

// SocketURL is URL over the server's Unix socket.
func (s *Server) SocketURL(database string) string {
	if s.elsewhere != "" {
		return s.URL(database)
	}
	return "mysql://root@localhost/" + database + "?socket=" + s.socket()
}

// CreateDatabase makes a database if it doesn't exist.
func (s *Server) CreateDatabase(name string) error {
	return s.Exec("CREATE DATABASE IF NOT EXISTS `" + name + "`")
}

// DropDatabase removes a database.
func (s *Server) DropDatabase(name string) error {
	return s.Exec("DROP DATABASE IF EXISTS `" + name + "`")
}

// Exec runs statements as root.
func (s *Server) Exec(statements ...string) error {
	db, err := s.admin()
	if err != nil {
		return err
	}
	defer db.Close()
	for _, statement := range statements {
		if _, err := db.Exec(statement); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	return nil
}

func (s *Server) admin() (*sql.DB, error) {
	address := "unix(" + s.socket() + ")"
	if s.elsewhere != "" {
		address = "tcp(" + s.elsewhere + ")"
	}
	// The server may be a hostile one.
	db, err := sql.Open("mysql", "root@"+address+"/?autocommit=1&completion_type=0&tx_read_only=0&sql_safe_updates=0&max_statement_time=0&lock_wait_timeout=60&innodb_lock_wait_timeout=60")
	if err == nil {
		db.SetMaxOpenConns(1) // so that SET SESSION lasts
	}
	return db, err
}

// Restart starts a killed or stopped server again, on its folder and port, and waits
// until it answers.
func (s *Server) Restart() error { return s.start(s.answers) }

// start runs mariadbd and waits until ready says so.
func (s *Server) start(ready func() error, more ...string) error {
	found, err := programs()
	if err != nil {
		return err
	}
	log, err := os.OpenFile(s.log(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := s.command(found[0], s.arguments(more...))
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return err
	}
	s.daemon = &daemon{cmd: cmd, ended: make(chan struct{})}
	go s.daemon.wait()
	for deadline := time.Now().Add(90 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		err := ready()
		if err == nil {
			return nil
		}
		select {
		case <-s.daemon.ended:
			return fmt.Errorf("mariadbd ended: %w\n%s", errors.Join(s.daemon.err, err), s.Log())
		default:
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("mariadbd doesn't answer: %w\n%s", err, s.Log())
		}
	}
}

func (s *Server) arguments(more ...string) []string {
	args := []string{"--no-defaults", "--datadir=" + s.data(), "--socket=" + s.socket(), "--pid-file=" + filepath.Join(s.folder, "pid"),
		"--port=" + strconv.Itoa(s.port), "--bind-address=127.0.0.1", "--tmpdir=" + s.folder, "--skip-name-resolve",
		"--innodb-flush-log-at-trx-commit=1", "--innodb-doublewrite=1", "--innodb-buffer-pool-size=64M", logFileSize,
		"--performance-schema=OFF", "--max-connections=500"}
	return slices.Concat(args, s.user, s.wsrep, s.args, more)
}

// answers returns nil once the server accepts connections on its socket, which only this
// server has, and on its port.
func (s *Server) answers() error {
	for _, address := range []string{"unix(" + s.socket() + ")/", "tcp(" + s.Addr() + ")/?tls=preferred&timeout=1s"} {
		db, err := sql.Open("mysql", "root@"+address)
		if err == nil {
			err = db.Ping()
			db.Close()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Process returns the id of the server's process.
func (s *Server) Process() int { return s.daemon.cmd.Process.Pid }

// Kill ends the server as a power cut would, and waits until it has ended.
func (s *Server) Kill() error { return s.daemon.signal(syscall.SIGKILL) }

// Stop shuts the server down, and waits until it has ended.
func (s *Server) Stop() error { return s.daemon.signal(syscall.SIGTERM) }

// Pause suspends the server's process, as if the machine hung; Resume continues it.
func (s *Server) Pause() error { return s.daemon.cmd.Process.Signal(syscall.SIGSTOP) }

// Resume continues a paused server.
func (s *Server) Resume() error { return s.daemon.cmd.Process.Signal(syscall.SIGCONT) }

// Close ends the server and removes its folder.
func (s *Server) Close() error {
	if s.elsewhere != "" {
		return nil
	}
	var err error
	if s.daemon != nil {
		err = s.Kill()
	}
	if s.keeper != nil {
		s.keeper.close()
	}
	for _, held := range s.held {
		held.Close()
	}
	s.held = nil
	return errors.Join(err, os.RemoveAll(s.folder))
}

// Files returns the paths of all files that hold the server's data.
func (s *Server) Files() (paths []string, err error) {
	err = filepath.WalkDir(s.data(), func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() {
			paths = append(paths, path)
		}
		return err
	})
	return paths, err
}

// Log returns the end of the server's log.
func (s *Server) Log() string {
	b, err := os.ReadFile(s.log())
	if err != nil {
		return err.Error()
	}
	return string(b[max(0, len(b)-8000):])
}

// A daemon is a started mariadbd.
type daemon struct {
	cmd   *exec.Cmd
	ended chan struct{} // closed when it has ended
	err   error         // how it ended
}

func (d *daemon) wait() {
	d.err = d.cmd.Wait()
	close(d.ended)
}

// signal tells mariadbd to end and waits until it has.
func (d *daemon) signal(sig syscall.Signal) error {
	if err := d.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-d.ended:
		return nil
	case <-time.After(time.Minute):
		return errors.New("mariadbd doesn't end")
	}
}

// A keeper makes sure that nothing of a server outlives the test binary. All processes of
// a server are in one process group. A shell outside the group reads a pipe that the test
// binary holds; when the pipe ends, by Close or because the test binary was killed, the
// shell kills the group and removes the folder.
type keeper struct {
	group        int
	shell, first *exec.Cmd // first keeps the group in existence; it only waits for the shell's end
	pipe         io.Closer
}

// A killed process may still create a file while the shell removes the folder.
const keeping = `
read -r group && read -r _
kill -s KILL -- "-$group"
for again in 1 2 3 4 5; do rm -rf "$1" && exit; sleep 1; done
`

func keep(folder string) (*keeper, error) {
	k := &keeper{shell: exec.Command("sh", "-c", keeping, "sh", folder), first: exec.Command("sh", "-c", "read -r _", folder)}
	k.shell.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // out of reach of a terminal's ^C
	k.first.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	pipe, err := k.shell.StdinPipe()
	if err != nil {
		return nil, err
	}
	if k.first.Stdin, err = k.shell.StdoutPipe(); err != nil {
		return nil, err
	}
	if err := k.shell.Start(); err != nil {
		return nil, err
	}
	k.pipe = pipe
	if err := k.first.Start(); err != nil {
		k.close()
		return nil, err
	}
	k.group = k.first.Process.Pid
	if _, err := fmt.Fprintln(pipe, k.group); err != nil {
		k.close()
		return nil, err
	}
	return k, nil
}

func (k *keeper) close() {
	k.pipe.Close()
	k.shell.Wait()
	k.first.Wait()
}

// one returns the single text that a query returns.
func (s *Server) one(query string) (string, error) {
	db, err := s.admin()
	if err != nil {
		return "", err
	}
	defer db.Close()
	var name, value string
	err = db.QueryRow(query).Scan(&name, &value)
	return strings.TrimSpace(value), err
}
