package mariadb

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// If this variable is set, the test binary does what it names and waits until the test kills
// it.
const childVariable = "COUNTERSIGN_MARIADB_TEST_CHILD"

func TestMain(m *testing.M) {
	child := os.Getenv(childVariable)
	if child == "" {
		os.Exit(m.Run())
	}
	if err := children[child](); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println("done")
	select {}
}

var children = map[string]func() error{
	"server": func() error {
		_, err := Start()
		return err
	},
	"ended": func() error {
		s, err := Start()
		if err == nil {
			err = s.Kill()
		}
		return err
	},
	"cluster": func() error {
		_, err := StartCluster(2)
		return err
	},
}

// need skips a test that can't run here; in CI it fails the test.
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
	noError(t, s.Close())
	gone(t, s.folder)
}

// Whenever a test binary is killed, its servers leave nothing behind.
func TestKilledTestLeavesNothingBehind(t *testing.T) {
	for _, tc := range []struct {
		name      string
		available func() error
		child     string
		when      string // a file whose existence is the signal; empty: when the child is done
	}{
		{"while the first tables are made", Available, "server", "mdb*/data/mysql"},
		{"while the server runs", Available, "server", ""},
		{"while the server is down", Available, "ended", ""},
		{"while a node copies data", ClusterAvailable, "cluster", "mdb*/data/rsync_sst.pid"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			need(t, tc.available())
			folder, err := os.MkdirTemp("", "mdb")
			noError(t, err)
			defer os.RemoveAll(folder)
			noError(t, os.Chmod(folder, 0o755))
			var out bytes.Buffer
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), childVariable+"="+tc.child, "TMPDIR="+folder)
			cmd.Stderr = &out
			stdout, err := cmd.StdoutPipe()
			noError(t, err)
			noError(t, cmd.Start())
			if tc.when == "" {
				if _, err := bufio.NewReader(stdout).ReadString('\n'); err != nil {
					t.Error(err)
				}
			} else {
				await(t, func() error {
					if found, err := filepath.Glob(filepath.Join(folder, tc.when)); err != nil || len(found) == 0 {
						return fmt.Errorf("the child has no %s: %w", tc.when, err)
					}
					return nil
				})
			}
			if len(processes(t, folder)) == 0 {
				t.Errorf("there is nothing to leave behind: %s", &out)
			}
			noError(t, cmd.Process.Kill())
			cmd.Wait()
			gone(t, filepath.Join(folder, "*"))
		})
	}
}

// gone reports an error if folders of servers, or processes that use them, remain.
func gone(t *testing.T, folders string) {
	t.Helper()
	await(t, func() error {
		left, err := filepath.Glob(folders)
		if left = append(left, processes(t, strings.TrimSuffix(folders, "*"))...); len(left) > 0 {
			err = fmt.Errorf("left behind: %q", left)
		}
		return err
	})
}

// processes returns the processes whose arguments name a folder.
func processes(t *testing.T, folder string) (found []string) {
	t.Helper()
	out, err := exec.Command("ps", "-A", "-o", "args=").Output()
	noError(t, err)
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, folder) {
			found = append(found, line)
		}
	}
	return found
}

func await(t *testing.T, ready func() error) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		err := ready()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
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
	for i := range c.Nodes { // including the first, which started the cluster
		other := c.Nodes[(i+1)%3]
		// The test kills the node while it creates a table.
		made, killed := make(chan error), make(chan struct{})
		go func() {
			defer close(made)
			for n := 0; ; n++ {
				select {
				case made <- other.Exec(fmt.Sprintf("CREATE TABLE d.t%d_%d (i INT PRIMARY KEY)", i, n)):
				case <-killed:
					return
				}
			}
		}()
		for range 5 {
			noError(t, <-made)
		}
		noError(t, c.Nodes[i].Kill())
		close(killed)
		for err := range made {
			noError(t, err)
		}
		noError(t, other.AwaitSize(2))
		noError(t, other.Exec("SET SESSION wsrep_sync_wait = 15", fmt.Sprintf("INSERT INTO d.t VALUES (%d)", i)))
		begun := time.Now()
		noError(t, c.Rejoin(i))
		t.Logf("node %d rejoined in %v", i, time.Since(begun))
		if got, err := c.Nodes[i].one("SELECT '', COUNT(*) FROM d.t"); got != strconv.Itoa(i+1) {
			t.Errorf("the node that rejoined has %q rows, want %d: %v", got, i+1, err)
		}
		tables := "SELECT '', GROUP_CONCAT(table_name ORDER BY table_name) FROM information_schema.tables WHERE table_schema = 'd'"
		want, err := other.one(tables)
		noError(t, err)
		if got, err := c.Nodes[i].one(tables); got != want {
			t.Errorf("the node that rejoined has tables %s, want %s: %v", got, want, err)
		}
	}
}
