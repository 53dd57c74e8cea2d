// Package mariadb runs private MariaDB servers for tests: real ones, in a
// temporary folder, on a loopback port of their own, which leave nothing behind
// even when the test binary is killed.
package mariadb

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	_ "github.com/go-sql-driver/mysql"
)

// Available says why there can be no server here, or nil.
func Available() error {
	_, err := programs()
	return err
}

// programs finds what a server needs: mariadbd and what makes its first tables.
func programs() (found [2]string, err error) {
	for i, name := range []string{"mariadbd", "mariadb-install-db"} {
		for _, dir := range append(filepath.SplitList(os.Getenv("PATH")), "/usr/sbin", "/usr/bin", "/usr/local/bin", "/opt/homebrew/bin") {
			if path := filepath.Join(dir, name); found[i] == "" && exec.Command(path, "--version").Run() == nil {
				found[i] = path
			}
		}
		if found[i] == "" {
			return found, fmt.Errorf("there is no %s: install mariadb-server", name)
		}
	}
	return found, nil
}

// Server is a mariadbd of the test's own. Its root has no password. A commit is
// on disk before it is acknowledged, as in production.
type Server struct {
	elsewhere string // address, if it isn't ours

	folder string
	port   int
	user   []string // --user, if root starts it
	args   []string
	wsrep  []string // what makes it a node of a cluster
	daemon *daemon
}

// Start starts a server, with more arguments for mariadbd if given, and waits
// until it answers.
func Start(args ...string) (*Server, error) {
	s, err := create(args...)
	if err != nil {
		return nil, err
	}
	if err := s.Restart(); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// At is a server that runs already, somebody else's, whose root has no password.
// It can't be killed or stopped here.
func At(addr string) *Server { return &Server{elsewhere: addr} }

// create makes a server's folder and its first tables.
func create(args ...string) (*Server, error) {
	found, err := programs()
	if err != nil {
		return nil, err
	}
	folder, err := os.MkdirTemp("", "mdb") // short: a socket's path may not be long
	if err != nil {
		return nil, err
	}
	s := &Server{folder: folder, args: args}
	if s.port, err = freePort(); err != nil {
		os.RemoveAll(folder)
		return nil, err
	}
	if s.user, err = asUser(folder); err != nil {
		os.RemoveAll(folder)
		return nil, err
	}
	install := exec.Command(found[1], append([]string{"--no-defaults", "--datadir=" + s.data(),
		"--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve"}, s.user...)...)
	install.Env = append(os.Environ(), "TMPDIR="+folder)
	if out, err := install.CombinedOutput(); err != nil {
		os.RemoveAll(folder)
		return nil, fmt.Errorf("mariadb-install-db: %w\n%s", err, out)
	}
	return s, nil
}

// asUser makes a server that root starts run as the user that MariaDB's package
// made for it: what nodes of a cluster use to copy data doesn't run as root.
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

func freePort() (int, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer ln.Close()
	return ln.Addr().(*net.TCPAddr).Port, nil
}

func (s *Server) data() string   { return filepath.Join(s.folder, "data") }
func (s *Server) socket() string { return filepath.Join(s.folder, "s") }

// Addr is the loopback address that the server listens on.
func (s *Server) Addr() string {
	if s.elsewhere != "" {
		return s.elsewhere
	}
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port))
}

// URL is the store's URL of a database, which it doesn't make.
func (s *Server) URL(database string) string { return "mysql://root@" + s.Addr() + "/" + database }

// SocketURL is the same over the server's Unix socket.
func (s *Server) SocketURL(database string) string {
	if s.elsewhere != "" {
		return s.URL(database)
	}
	return "mysql://root@localhost/" + database + "?socket=" + s.socket()
}

// CreateDatabase makes a database if it isn't there.
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
	db, err := sql.Open("mysql", "root@"+address+"/")
	if err == nil {
		db.SetMaxOpenConns(1) // SET SESSION lasts
	}
	return db, err
}

// Restart starts a server that was killed or stopped again, on its folder and
// port, and waits until it answers.
func (s *Server) Restart() error { return s.start(s.answers) }

// start runs mariadbd and waits until ready says so.
func (s *Server) start(ready func() error, more ...string) error {
	found, err := programs()
	if err != nil {
		return err
	}
	args := []string{"--no-defaults", "--datadir=" + s.data(), "--socket=" + s.socket(), "--pid-file=" + filepath.Join(s.folder, "pid"),
		"--port=" + strconv.Itoa(s.port), "--bind-address=127.0.0.1", "--tmpdir=" + s.folder, "--skip-name-resolve",
		"--innodb-flush-log-at-trx-commit=1", "--innodb-doublewrite=1", "--innodb-buffer-pool-size=64M", "--innodb-log-file-size=48M",
		"--performance-schema=OFF", "--max-connections=500", "--thread-stack=512K", "--table-definition-cache=400"}
	args = append(append(append(append(args, s.user...), s.wsrep...), s.args...), more...)
	if s.daemon, err = startDaemon(s.folder, found[0], args); err != nil {
		return err
	}
	for deadline := time.Now().Add(90 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		err := ready()
		if err == nil {
			return nil
		}
		select {
		case <-s.daemon.ended:
			return fmt.Errorf("mariadbd ended: %w\n%s", err, s.Log())
		default:
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("mariadbd doesn't answer: %w\n%s", err, s.Log())
		}
	}
}

// answers returns nil once the server takes a connection on its port.
func (s *Server) answers() error {
	db, err := sql.Open("mysql", "root@tcp("+s.Addr()+")/?timeout=1s&tls=preferred")
	if err != nil {
		return err
	}
	defer db.Close()
	return db.Ping()
}

// Kill ends the server as a power cut would, and waits until it is gone.
func (s *Server) Kill() error { return s.daemon.signal(syscall.SIGKILL) }

// Stop ends the server in order, and waits until it is gone.
func (s *Server) Stop() error { return s.daemon.signal(syscall.SIGTERM) }

// Pause stops the server's process where it is, as a machine that hangs; Resume
// lets it go on.
func (s *Server) Pause() error { return syscall.Kill(s.daemon.pid, syscall.SIGSTOP) }

// Resume lets a paused server go on.
func (s *Server) Resume() error { return syscall.Kill(s.daemon.pid, syscall.SIGCONT) }

// Close ends the server and removes all that it had.
func (s *Server) Close() error {
	if s.elsewhere != "" {
		return nil
	}
	if s.daemon != nil {
		s.daemon.close()
	}
	return os.RemoveAll(s.folder)
}

// Files are the paths of all files that hold the server's data.
func (s *Server) Files() (paths []string, err error) {
	err = filepath.WalkDir(s.data(), func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() {
			paths = append(paths, path)
		}
		return err
	})
	return paths, err
}

// Log is the end of the server's log.
func (s *Server) Log() string {
	b, err := os.ReadFile(filepath.Join(s.folder, "log"))
	if err != nil {
		return err.Error()
	}
	return string(b[max(0, len(b)-8000):])
}

// daemon is a mariadbd under a shell that ends it, and removes its folder, when
// the test binary is gone: then the pipe that is the shell's input ends.
type daemon struct {
	pid   int
	shell *exec.Cmd
	pipe  io.WriteCloser
	ended chan struct{} // closed when mariadbd has ended
}

const supervisor = `
folder=$1; shift
"$@" >>"$folder/log" 2>&1 </dev/null &
pid=$!
echo $pid
{ read -r word || { trap '' TERM; kill -9 $pid; rm -rf "$folder"; }; } <&3 &
reader=$!
wait $pid
kill $reader 2>/dev/null
exit 0
`

func startDaemon(folder, path string, args []string) (*daemon, error) {
	d := &daemon{ended: make(chan struct{})}
	d.shell = exec.Command("sh", append([]string{"-c", supervisor, "sh", folder, path}, args...)...)
	d.shell.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // out of reach of a terminal's ^C
	d.shell.Env = append(os.Environ(), "TMPDIR="+folder)
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	d.pipe = w
	d.shell.ExtraFiles = []*os.File{r} // descriptor 3
	out, err := d.shell.StdoutPipe()
	if err != nil {
		return nil, err
	}
	err = d.shell.Start()
	r.Close()
	if err != nil {
		w.Close()
		return nil, err
	}
	line := make([]byte, 32)
	n, err := out.Read(line)
	if err == nil {
		d.pid, err = strconv.Atoi(string(bytes.TrimSpace(line[:n])))
	}
	go func() {
		d.shell.Wait()
		close(d.ended)
	}()
	if err != nil {
		d.close()
		return nil, fmt.Errorf("start mariadbd: %w", err)
	}
	return d, nil
}

// signal tells mariadbd to end and waits until it has.
func (d *daemon) signal(sig syscall.Signal) error {
	if err := syscall.Kill(d.pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
		return err
	}
	if sig == syscall.SIGKILL {
		syscall.Kill(d.pid, syscall.SIGCONT) // if it was paused
	}
	select {
	case <-d.ended:
		d.pipe.Close()
		return nil
	case <-time.After(time.Minute):
		return errors.New("mariadbd doesn't end")
	}
}

// close makes the shell clean up, and waits for it.
func (d *daemon) close() {
	d.pipe.Close()
	select {
	case <-d.ended:
	case <-time.After(10 * time.Second):
		syscall.Kill(d.pid, syscall.SIGKILL)
		<-d.ended
	}
}

// one returns the single text that a query gives.
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
