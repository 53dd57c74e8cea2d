package mariadb

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// galera lists where the library that makes servers a cluster may be.
var galera = []string{
	"/usr/lib/galera/libgalera_smm.so", "/usr/lib/libgalera_smm.so",
	"/usr/lib64/galera-4/libgalera_smm.so", "/usr/lib/galera-4/libgalera_smm.so",
}

func galeraLibrary() (string, error) {
	for _, path := range galera {
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
	}
	return "", errors.New("there is no libgalera_smm.so: install galera-4")
}

// ClusterAvailable returns nil if a cluster can run here, and otherwise the reason why not.
func ClusterAvailable() error {
	_, err := galeraLibrary()
	if _, errCopy := exec.LookPath("rsync"); errCopy != nil {
		err = errors.Join(err, errors.New("there is no rsync: install it"))
	}
	return errors.Join(Available(), err)
}

// A Cluster is a Galera cluster of private servers, all of which take writes.
type Cluster struct {
	Nodes  []*Server
	groups []int // the ports on which the nodes talk to each other
}

// StartCluster starts n nodes, with more arguments for mariadbd if given, and
// waits until all have joined.
func StartCluster(n int, args ...string) (*Cluster, error) {
	library, err := galeraLibrary()
	if err != nil {
		return nil, err
	}
	c := &Cluster{}
	for i := range n {
		s, err := create(args...)
		c.Nodes = append(c.Nodes, s)
		if err == nil {
			err = c.prepare(i, library)
		}
		if err != nil {
			return nil, errors.Join(err, c.Close())
		}
	}
	for i, s := range c.Nodes {
		if i == 0 {
			err = s.start(s.synced, "--wsrep-cluster-address=gcomm://") // there is no node to join yet
		} else {
			err = c.join(i)
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("node %d: %w\nThe log of the first node:\n%s", i, err, c.Nodes[0].Log()), c.Close())
		}
	}
	return c, nil
}

// prepare makes a server a node. The first node gets tables, which the others copy.
func (c *Cluster) prepare(i int, library string) error {
	s := c.Nodes[i]
	var ports [3]int
	for j := range ports {
		var err error
		if ports[j], err = s.reserve(); err != nil {
			return err
		}
	}
	c.groups = append(c.groups, ports[0])
	s.wsrep = []string{
		"--wsrep-on=ON", "--wsrep-provider=" + library, "--wsrep-cluster-name=test",
		"--binlog-format=ROW", "--innodb-autoinc-lock-mode=2", "--wsrep-slave-threads=2",
		"--wsrep-node-name=node" + strconv.Itoa(i), "--wsrep-node-address=" + local(ports[0]),
		"--wsrep-sst-method=rsync", "--wsrep-sst-receive-address=" + local(ports[2]),
		"--wsrep-provider-options=" + strings.Join([]string{
			"gmcast.listen_addr=tcp://" + local(ports[0]), "ist.recv_addr=" + local(ports[1]),
			"gcache.size=64M", "pc.recovery=false",
			// A dead node is expelled within about two seconds.
			"evs.keepalive_period=PT0.3S", "evs.inactive_check_period=PT0.2S", "evs.suspect_timeout=PT1.5S",
			"evs.inactive_timeout=PT3S", "evs.install_timeout=PT3S", "gmcast.peer_timeout=PT1.5S",
		}, ";"),
	}
	if i == 0 {
		return s.install()
	}
	if err := os.Mkdir(s.data(), 0o700); err != nil {
		return err
	}
	_, err := asUser(s.data())
	return err
}

// Rejoin starts a node that was killed or stopped, lets it join the others, and waits
// until it has all their data.
func (c *Cluster) Rejoin(i int) error {
	position, err := c.Nodes[i].position(c.others(i))
	if err != nil {
		return err
	}
	return c.join(i, "--wsrep-start-position="+position)
}

func (c *Cluster) join(i int, more ...string) error {
	s := c.Nodes[i]
	return s.start(s.synced, append(more, c.others(i))...)
}

// others returns the argument that tells a node where the others are.
func (c *Cluster) others(i int) string {
	var others []string
	for j, port := range c.groups {
		if j != i {
			others = append(others, local(port))
		}
	}
	return "--wsrep-cluster-address=gcomm://" + strings.Join(others, ",")
}

// position returns the last transaction of a node before it ended. The service of
// MariaDB's packages also finds this out before each start, in a separate run, which
// rolls back a table that was being made. Without this, the node would get a copy of
// everything instead of what it missed, which blocks the donor node, and would then
// roll back such a table in the copy.
func (s *Server) position(others string) (string, error) {
	found, err := programs()
	if err != nil {
		return "", err
	}
	out, err := s.command(found[0], s.arguments("--wsrep-recover", others)).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("mariadbd --wsrep-recover: %w\n%s", err, out)
	}
	_, after, ok := strings.Cut(string(out), "WSREP: Recovered position: ")
	if !ok {
		return "", fmt.Errorf("mariadbd --wsrep-recover doesn't say where the node was\n%s", out)
	}
	position, _, _ := strings.Cut(after, "\n")
	return strings.TrimSpace(position), nil
}

// synced returns nil once the node takes part in the cluster.
func (s *Server) synced() error {
	if err := s.answers(); err != nil {
		return err
	}
	state, err := s.one(`SHOW STATUS LIKE 'wsrep_local_state_comment'`)
	if err == nil && state != "Synced" {
		err = fmt.Errorf("the node is %s", state)
	}
	return err
}

// Size returns how many nodes a node sees in its cluster.
func (s *Server) Size() (int, error) {
	n, err := s.one(`SHOW STATUS LIKE 'wsrep_cluster_size'`)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(n)
}

// AwaitSize waits until a node sees the given number of nodes.
func (s *Server) AwaitSize(n int) error {
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		got, err := s.Size()
		if err == nil && got == n {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("the node sees %d nodes, want %d: %w", got, n, err)
		}
	}
}

// URL returns the store's URL of a database. It lists the nodes from index first on, and
// then those before it.
func (c *Cluster) URL(database string, first int) string {
	var hosts []string
	for i := range c.Nodes {
		hosts = append(hosts, c.Nodes[(first+i)%len(c.Nodes)].Addr())
	}
	return "mysql://root@" + strings.Join(hosts, ",") + "/" + database
}

// Close ends all nodes and removes their folders.
func (c *Cluster) Close() error {
	var errs []error
	for _, s := range c.Nodes {
		errs = append(errs, s.Close())
	}
	return errors.Join(errs...)
}
