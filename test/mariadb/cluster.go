package mariadb

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// galera is where the library that makes servers a cluster may be.
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

// ClusterAvailable says why there can be no cluster here, or nil.
func ClusterAvailable() error {
	_, err := galeraLibrary()
	if _, errCopy := exec.LookPath("rsync"); errCopy != nil {
		err = errors.Join(err, errors.New("there is no rsync: install it"))
	}
	return errors.Join(Available(), err)
}

// Cluster is a Galera cluster of private servers, all of which take writes.
type Cluster struct {
	Nodes  []*Server
	groups []int // the ports on which they talk to each other
}

// StartCluster starts n nodes, with more arguments for mariadbd if given, and
// waits until all are in.
func StartCluster(n int, args ...string) (*Cluster, error) {
	library, err := galeraLibrary()
	if err != nil {
		return nil, err
	}
	c := &Cluster{}
	transfers := make([][2]int, n)
	for i := range n {
		s, err := create(args...)
		if err != nil {
			return nil, errors.Join(err, c.Close())
		}
		c.Nodes = append(c.Nodes, s)
		ports, err := freePorts(3)
		if err != nil {
			return nil, errors.Join(err, c.Close())
		}
		c.groups = append(c.groups, ports[0])
		transfers[i] = [2]int{ports[1], ports[2]}
	}
	for i, s := range c.Nodes {
		s.wsrep = []string{
			"--wsrep-on=ON", "--wsrep-provider=" + library, "--wsrep-cluster-name=test",
			"--binlog-format=ROW", "--innodb-autoinc-lock-mode=2", "--wsrep-slave-threads=2",
			"--wsrep-node-name=node" + strconv.Itoa(i), "--wsrep-node-address=" + local(c.groups[i]),
			"--wsrep-sst-method=rsync", "--wsrep-sst-receive-address=" + local(transfers[i][1]),
			"--wsrep-provider-options=" + strings.Join([]string{
				"gmcast.listen_addr=tcp://" + local(c.groups[i]), "ist.recv_addr=" + local(transfers[i][0]),
				"gcache.size=32M", "pc.recovery=false",
				// A dead node is expelled within about two seconds.
				"evs.keepalive_period=PT0.3S", "evs.inactive_check_period=PT0.2S", "evs.suspect_timeout=PT1.5S",
				"evs.inactive_timeout=PT3S", "evs.install_timeout=PT3S", "gmcast.peer_timeout=PT1.5S",
			}, ";"),
		}
		if i == 0 {
			err = s.start(s.synced, "--wsrep-cluster-address=gcomm://") // nobody to join yet
		} else {
			err = c.Rejoin(i)
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("node %d: %w\nThe log of the first node:\n%s", i, err, c.Nodes[0].Log()), c.Close())
		}
	}
	return c, nil
}

func local(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// freePorts finds ports that nobody listens on, all different.
func freePorts(n int) ([]int, error) {
	var ports []int
	for range n {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer ln.Close()
		ports = append(ports, ln.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}

// Rejoin starts a node that was killed or stopped, into the cluster of the
// others, and waits until it has all that they have.
func (c *Cluster) Rejoin(i int) error {
	var others []string
	for j, port := range c.groups {
		if j != i {
			others = append(others, local(port))
		}
	}
	s := c.Nodes[i]
	return s.start(s.synced, "--wsrep-cluster-address=gcomm://"+strings.Join(others, ","))
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

// Size is how many nodes a node sees in its cluster.
func (s *Server) Size() (int, error) {
	n, err := s.one(`SHOW STATUS LIKE 'wsrep_cluster_size'`)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(n)
}

// AwaitSize waits until a node sees so many nodes.
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

// URL is the store's URL of a database, with all nodes from the first-th on, and
// then those before it.
func (c *Cluster) URL(database string, first int) string {
	var hosts []string
	for i := range c.Nodes {
		hosts = append(hosts, c.Nodes[(first+i)%len(c.Nodes)].Addr())
	}
	return "mysql://root@" + strings.Join(hosts, ",") + "/" + database
}

// Close ends all nodes and removes all that they had.
func (c *Cluster) Close() error {
	var errs []error
	for _, s := range c.Nodes {
		errs = append(errs, s.Close())
	}
	return errors.Join(errs...)
}
