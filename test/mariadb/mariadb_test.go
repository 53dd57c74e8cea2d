package mariadb

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The test binary, run with this variable, starts a server and waits to be killed.
const childVariable = "COUNTERSIGN_MARIADB_TEST_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childVariable) == "" {
		os.Exit(m.Run())
	}
	s, err := Start()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(s.daemon.pid, s.folder)
	select {}
}

// need skips a test where it can't run, but not in CI.
func need(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		return
	}
	if os.Getenv("CI") == "true" {
		t.Fatal(err)
	}
	t.Skip(err)
}

func noError(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestServerKeepsWhatItAcknowledged(t *testing.T) {
	need(t, Available())
	begun := time.Now()
	s, err := Start()
	noError(t, err)
	defer s.Close()
	t.Logf("started in %v", time.Since(begun))
	noError(t, s.CreateDatabase("d"))
	noError(t, s.Exec("CREATE TABLE d.t (i INT PRIMARY KEY)", "INSERT INTO d.t VALUES (7)"))
	for _, end := range []func() error{s.Kill, s.Stop, s.Kill} {
		noError(t, end())
		if err := s.answers(); err == nil {
			t.Error("a server that ended answers")
		}
		noError(t, s.Restart())
		if got, err := s.one("SELECT '', i FROM d.t"); got != "7" {
			t.Errorf("after a restart: got %q, %v", got, err)
		}
	}
	noError(t, s.DropDatabase("d"))
	pid, folder := s.daemon.pid, s.folder
	noError(t, s.Close())
	gone(t, pid, folder)
}

func TestKilledTestLeavesNothingBehind(t *testing.T) {
	need(t, Available())
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childVariable+"=1")
	out, err := cmd.StdoutPipe()
	noError(t, err)
	noError(t, cmd.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	noError(t, err)
	pid, folder, _ := strings.Cut(strings.TrimSpace(line), " ")
	noError(t, cmd.Process.Kill())
	cmd.Wait()
	n, err := strconv.Atoi(pid)
	noError(t, err)
	gone(t, n, folder)
}

// gone reports if a process or a folder doesn't go away.
func gone(t *testing.T, pid int, folder string) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		_, err := os.Stat(folder)
		if errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) && errors.Is(err, os.ErrNotExist) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("process %d or its folder is still there", pid)
		}
	}
}

func TestClusterSurvivesItsNodes(t *testing.T) {
	need(t, ClusterAvailable())
	begun := time.Now()
	c, err := StartCluster(3)
	noError(t, err)
	defer c.Close()
	t.Logf("started in %v", time.Since(begun))
	noError(t, c.Nodes[1].CreateDatabase("d"))
	noError(t, c.Nodes[2].Exec("SET SESSION wsrep_sync_wait = 15", "CREATE TABLE d.t (i INT PRIMARY KEY)"))
	for i := range c.Nodes { // the first too, which made the cluster
		other := c.Nodes[(i+1)%3]
		noError(t, c.Nodes[i].Kill())
		noError(t, other.AwaitSize(2))
		noError(t, other.Exec("SET SESSION wsrep_sync_wait = 15", fmt.Sprintf("INSERT INTO d.t VALUES (%d)", i)))
		begun := time.Now()
		noError(t, c.Rejoin(i))
		t.Logf("node %d rejoined in %v", i, time.Since(begun))
		if got, err := c.Nodes[i].one("SELECT '', COUNT(*) FROM d.t"); got != strconv.Itoa(i+1) {
			t.Errorf("the node that rejoined has %q rows, want %d: %v", got, i+1, err)
		}
	}
}
