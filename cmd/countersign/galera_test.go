package main

import (
	"database/sql"
	"fmt"
	"slices"
	"testing"
	"time"

	"countersign/store/storetest"
	"countersign/test/mariadb"
	"countersign/test/soak"
)

// startGalera starts a cluster with a database, and a server for each node that prefers
// that node, so that all nodes get writes.
func startGalera(t *testing.T, data string, env ...string) (*mariadb.Cluster, []*replica) {
	t.Helper()
	storetest.OnOwnDatabase(t)
	storetest.Need(t, mariadb.ClusterAvailable())
	cluster, err := mariadb.StartCluster(3)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cluster.Close() })
	if err := cluster.Nodes[0].CreateDatabase("countersign"); err != nil {
		t.Fatal(err)
	}
	var replicas []*replica
	for i := range cluster.Nodes {
		replicas = append(replicas, startReplica(t, data, cluster.URL("countersign", i), env...))
	}
	return cluster, replicas
}

func basesOf(replicas []*replica) (urls []string) {
	for _, r := range replicas {
		urls = append(urls, r.base)
	}
	return urls
}

// Three servers write to three nodes of a cluster. It is one test, because a cluster takes
// long to start.
func TestGalera(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	cluster, replicas := startGalera(t, data, wideWindow)
	strict := startReplica(t, data, cluster.URL("countersign", 0), noWindow)
	careless := startReplica(t, data, cluster.URL("countersign", 1)+"?wsrep_sync_wait=0", wideWindow)

	readYourWrites(t, basesOf(replicas), strict.process)
	raceOnAllNodes(t, basesOf(replicas))
	readFromNodeThatLags(t, cluster.Nodes[1], replicas[0].process, replicas[1].process, strict.process, careless.process)
	strict.kill()
	careless.kill()
	killNodes(t, data, cluster, replicas)
}

// readYourWrites has many clients go from server to server with the tokens that they have
// just got. No server refuses them, until a spent token at a strict server ends their
// session, everywhere at once.
func readYourWrites(t *testing.T, urls []string, strict *process) {
	s := newSite(t, time.Minute, urls...)
	began, rounds := time.Now(), soak.Size(1000, 60)
	s.each(rounds, func(i int) {
		name := fmt.Sprintf("reader-%d", i)
		ask := func(what string, status int, ask func(p *process) (*answer, error)) *answer {
			a, err := ask(s.any())
			if err != nil || a.status != status {
				t.Errorf("%s at another server: %v (%v), want %d", what, a, err, status)
				return &answer{}
			}
			return a
		}
		ask("sign-up", 201, func(p *process) (*answer, error) { return p.signup(name, processPassword) })
		a := ask("sign-in", 200, func(p *process) (*answer, error) { return p.login(name, processPassword) })
		var spent string
		for range 5 {
			spent = a.member("refresh_token")
			ask("userinfo", 200, func(p *process) (*answer, error) { return p.get("/userinfo", a.member("access_token")) })
			a = ask("refresh", 200, func(p *process) (*answer, error) { return p.refresh(a.member("refresh_token")) })
		}
		if a, err := strict.refresh(spent); err != nil || a.status != 400 {
			t.Errorf("a spent token, without a replay window: %v (%v)", a, err)
		}
		ask("userinfo after the end", 401, func(p *process) (*answer, error) { return p.get("/userinfo", a.member("access_token")) })
		ask("refresh after the end", 400, func(p *process) (*answer, error) { return p.refresh(a.member("refresh_token")) })
	})
	if t.Failed() {
		t.FailNow()
	}
	t.Logf("%d people went from server to server in %v, with 15 requests each: none refused", rounds, time.Since(began).Round(time.Millisecond))
}

// raceOnAllNodes has clients refresh with one token, and guess one password, at all
// servers at once. The nodes conflict, but no client gets an error for it.
func raceOnAllNodes(t *testing.T, urls []string) {
	s := newSite(t, time.Minute, urls...)
	want(t, 201)(s.fronts[0].signup("racer", processPassword))
	a := want(t, 200)(s.fronts[1].login("racer", processPassword, "scope", "profile"))
	for range soak.Size(1000, 50) {
		before, got := a.member("refresh_token"), make([]string, len(s.fronts))
		s.each(len(s.fronts), func(i int) {
			if a, err := s.fronts[i].refresh(before); err != nil || a.status != 200 {
				t.Errorf("refresh: %v (%v)", a, err)
			} else {
				got[i] = a.member("refresh_token")
			}
			if a, err := s.fronts[i].login("racer", "not the password"); err != nil || a.status != 400 && a.status != 429 {
				t.Errorf("wrong password: %v (%v)", a, err)
			}
		})
		if got = slices.Compact(got); len(got) > 1 || got[0] == before {
			t.Errorf("servers that raced answer %v", got)
		}
		if t.Failed() {
			t.FailNow()
		}
		a = want(t, 200)(s.any().refresh(got[0]))
	}
}

// readFromNodeThatLags has a client go from a writer to a reader whose node hasn't applied
// the write yet: the reader waits for it. A careless reader on the same node, which
// doesn't wait, shows what would happen otherwise.
func readFromNodeThatLags(t *testing.T, node *mariadb.Server, writer, reader, strict, careless *process) {
	admin, err := sql.Open("mysql", "root@tcp("+node.Addr()+")/")
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	admin.SetMaxOpenConns(1) // the lock is a connection's
	exec := func(query string) {
		if _, err := admin.Exec(query); err != nil {
			t.Errorf("%s: %v", query, err)
		}
	}
	var access, refresh, spent string
	userinfo := func(p *process) (*answer, error) { return p.get("/userinfo", access) }
	for _, step := range []struct {
		what          string
		change        func(p *process) (*answer, error)
		done          int
		use           func(p *process) (*answer, error)
		wanted, stale int // stale is 0 where the careless reader would have to write, which it can't
	}{
		{"a sign-up", func(p *process) (*answer, error) { return p.signup("late", processPassword) }, 201,
			func(p *process) (*answer, error) { return p.login("late", processPassword) }, 200, 0},
		{"a sign-in", func(p *process) (*answer, error) { return p.login("late", processPassword) }, 200, userinfo, 200, 401},
		{"a refresh", func(p *process) (*answer, error) { return p.refresh(refresh) }, 200,
			func(p *process) (*answer, error) { return p.refresh(refresh) }, 200, 400},
		{"the end of a session", func(*process) (*answer, error) { return strict.refresh(spent) }, 400, userinfo, 401, 200},
	} {
		exec("FLUSH TABLES WITH READ LOCK") // from now on the node doesn't apply the writes of others
		a := want(t, step.done)(step.change(writer))
		if a.member("access_token") != "" {
			access, refresh, spent = a.member("access_token"), a.member("refresh_token"), refresh
		}
		if step.stale != 0 {
			if a, err := step.use(careless); err != nil || a.status != step.stale {
				t.Errorf("%s, seen from a node that lags: %v (%v), want %d: this has shown nothing", step.what, a, err, step.stale)
			}
		}
		caughtUp := make(chan struct{})
		time.AfterFunc(200*time.Millisecond, func() {
			exec("UNLOCK TABLES")
			close(caughtUp)
		})
		if a, err := step.use(reader); err != nil || a.status != step.wanted {
			t.Errorf("%s, used at another server: %v (%v), want %d", step.what, a, err, step.wanted)
		}
		<-caughtUp
	}
}

// killNodes kills one node after the other under load and has it rejoin, cuts one off from
// the others, and does worse if there is time. No node lacks an acknowledged change, and
// no honest session is lost.
func killNodes(t *testing.T, data string, cluster *mariadb.Cluster, replicas []*replica) {
	kills, sessions := soak.Size(10, 1), soak.Size(200, 24)
	const patience = time.Minute // the replay window that clients count on
	s := newSite(t, patience, basesOf(replicas)...)
	all := s.open(sessions)
	for _, b := range all {
		s.browse(b, 4, time.Second)
	}
	c := &crowd{t: t}
	c.work(s)
	var probes []*probe
	for i, r := range replicas {
		probes = append(probes, newProbe(r.process, fmt.Sprintf("probe-%d", i)))
	}
	took := map[string]recoveries{"kill": {}, "cut": {}, "hang": {}, "return": {}}
	// without does without a node for a while.
	without := func(how string, i int, leave, comeBack func() error) {
		<-after(500*time.Millisecond, 1500*time.Millisecond)
		if err := leave(); err != nil {
			t.Fatal(err)
		}
		took[how].await(probes, 20*time.Second)
		if err := comeBack(); err != nil {
			t.Fatal(err)
		}
		if err := cluster.Nodes[(i+1)%len(cluster.Nodes)].AwaitSize(len(cluster.Nodes)); err != nil {
			t.Fatal(err)
		}
		eventually(t, 30*time.Second, "the node has what it missed", func() bool {
			return cluster.Nodes[i].Exec("SET SESSION wsrep_sync_wait = 1", "SELECT COUNT(*) FROM countersign.users") == nil
		})
		if took["return"].await(probes, recovery); t.Failed() {
			t.FailNow()
		}
	}
	for n := range kills {
		i := n % len(cluster.Nodes)
		without("kill", i, cluster.Nodes[i].Kill, func() error { return cluster.Rejoin(i) })
	}
	s.mu.Lock()
	longest := s.longest
	s.mu.Unlock()
	for n := range soak.Size(2*len(cluster.Nodes), 1) {
		i := (kills + n) % len(cluster.Nodes) // never the last one, which no client uses yet
		node := cluster.Nodes[i]
		isolate := func(yes int) func() error {
			return func() error {
				return node.Exec(fmt.Sprintf("SET GLOBAL wsrep_provider_options = 'gmcast.isolate=%d'", yes))
			}
		}
		if n < len(cluster.Nodes) { // the node hears its clients, but not the other nodes
			without("cut", i, isolate(1), isolate(0))
		} else { // the node is silent, and comes back with old data
			without("hang", i, node.Pause, node.Resume)
		}
	}
	if soak.On() {
		loseQuorum(t, cluster, probes)
	}
	s.close()
	for _, r := range replicas {
		r.kill()
	}
	if t.Failed() {
		t.FailNow()
	}
	// Each node by itself has everything.
	replicas = nil
	for _, node := range cluster.Nodes {
		replicas = append(replicas, startReplica(t, data, node.URL("countersign"), wideWindow))
	}
	quiet := newSite(t, patience, basesOf(replicas)...)
	quiet.settle(all)
	c.checkAll(quiet)
	t.Logf("%d kills: %d sign-ups and %d refreshes were acknowledged, all were kept; %d sign-ups were left open; %d answers 503; "+
		"%d honest sessions with %d refreshes and %d retries, the longest of which took %v: none lost or forked; "+
		"everything worked again within %v",
		kills, c.signups.Load(), c.refreshes.Load(), len(c.doubtful), s.away.Load(),
		sessions, s.refreshes.Load(), s.retries.Load(), longest.Round(time.Millisecond), took)
}

// loseQuorum kills all nodes except one, which then serves no client until an operator
// declares it the cluster.
func loseQuorum(t *testing.T, cluster *mariadb.Cluster, probes []*probe) {
	last := len(cluster.Nodes) - 1
	for _, node := range cluster.Nodes[:last] {
		if err := node.Kill(); err != nil {
			t.Fatal(err)
		}
	}
	if err := cluster.Nodes[last].AwaitSize(1); err != nil {
		t.Fatal(err)
	}
	for _, p := range probes {
		p.meetsOutage()
	}
	if err := cluster.Nodes[last].Exec("SET GLOBAL wsrep_provider_options = 'pc.bootstrap=1'"); err != nil {
		t.Fatal(err)
	}
	recoveries{}.await(probes, recovery)
	for i := range last {
		if err := cluster.Rejoin(i); err != nil {
			t.Fatal(err)
		}
	}
}
