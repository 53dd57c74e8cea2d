// Package compose_test checks the deployment in containers without a container engine.
// It compares docker-compose.yml as engines read it, the Dockerfile and the load
// balancer's configuration with each other and with the program. It also runs the
// image's program as an unprivileged user in a read-only folder, alone and behind the
// real load balancer.
package compose_test

import (
	"fmt"
	"maps"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"

	"countersign/configs"
)

const (
	top    = "../.." // the repository
	issuer = "https://auth.example.com"
)

// load reads docker-compose.yml with an environment.
func load(t *testing.T, environ ...string) (*types.Project, error) {
	t.Helper()
	options, err := cli.NewProjectOptions([]string{filepath.Join(top, "docker-compose.yml")}, cli.WithEnv(environ))
	if err != nil {
		t.Fatal(err)
	}
	return options.LoadProject(t.Context())
}

// project returns docker-compose.yml with an issuer.
func project(t *testing.T) *types.Project {
	t.Helper()
	p, err := load(t, "COUNTERSIGN_ISSUER="+issuer)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// services returns all services, by name.
func services(p *types.Project) []types.ServiceConfig {
	var all []types.ServiceConfig
	for _, name := range slices.Sorted(maps.Keys(p.Services)) {
		all = append(all, p.Services[name])
	}
	return all
}

// replicas returns the services that run our image.
func replicas(p *types.Project) []types.ServiceConfig {
	return slices.DeleteFunc(services(p), func(s types.ServiceConfig) bool { return s.Image != "countersign" })
}

// env returns a service's environment variable.
func env(s types.ServiceConfig, name string) string {
	if v := s.Environment[name]; v != nil {
		return *v
	}
	return ""
}

// shared returns the networks that two services are both in.
func shared(a, b types.ServiceConfig) []string {
	return slices.DeleteFunc(slices.Collect(maps.Keys(a.Networks)), func(name string) bool {
		_, in := b.Networks[name]
		return !in
	})
}

// read reads a file of the repository.
func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(top, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// caddyfile returns the load balancer's configuration without its comments.
func caddyfile(t *testing.T) string {
	t.Helper()
	return regexp.MustCompile(`(?m)^\s*#.*\n`).ReplaceAllString(read(t, "deploy/Caddyfile"), "")
}

// defaults returns the settings of a server with only the required ones set.
func defaults(t *testing.T) *configs.Config {
	t.Helper()
	cfg, err := configs.Load(configs.Source{})
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

func TestIssuerMustBeGiven(t *testing.T) {
	const want = "must be the https URL that clients reach this server under"
	for _, environ := range [][]string{nil, {"COUNTERSIGN_ISSUER="}} {
		_, err := load(t, environ...)
		if err == nil || !strings.Contains(err.Error(), "COUNTERSIGN_ISSUER") || !strings.Contains(err.Error(), want) {
			t.Errorf("with the environment %q: %v, want COUNTERSIGN_ISSUER %s", environ, err, want)
		}
	}
	p := project(t)
	for _, s := range append(replicas(p), p.Services["balancer"]) {
		if got := env(s, "COUNTERSIGN_ISSUER"); got != issuer {
			t.Errorf("%s has the issuer %q, want %q", s.Name, got, issuer)
		}
	}
}

func TestReplicasAreAlike(t *testing.T) {
	all := replicas(project(t))
	if len(all) < 2 {
		t.Fatalf("there are %d replicas, want 2 or more", len(all))
	}
	builds := 0
	for i := range all {
		// Two services that build the same image at a time disturb each other, and the
		// engine must not fetch an image of this name from a registry.
		if all[i].Build != nil {
			builds++
		}
		if all[i].PullPolicy != types.PullPolicyNever {
			t.Errorf("%s may be pulled: %q", all[i].Name, all[i].PullPolicy)
		}
		all[i].Name, all[i].Build = "", nil
		if !reflect.DeepEqual(all[i], all[0]) {
			t.Errorf("replica %d is %+v, want it to be as the first, %+v", i+1, all[i], all[0])
		}
	}
	if builds != 1 {
		t.Errorf("%d replicas build the image, want 1", builds)
	}
}

func TestOnlyTheBalancerIsPublished(t *testing.T) {
	for _, s := range services(project(t)) {
		var got, want []string
		for _, p := range s.Ports {
			got = append(got, fmt.Sprintf("%s to %d/%s", p.Published, p.Target, p.Protocol))
		}
		if s.Name == "balancer" { // the balancer serves https, and redirects http to https
			want = []string{"80 to 80/tcp", "443 to 443/tcp"}
		}
		if !slices.Equal(got, want) || s.NetworkMode != "" {
			t.Errorf("%s publishes %q in network mode %q, want %q", s.Name, got, s.NetworkMode, want)
		}
	}
}

func TestBalancerKnowsAllReplicas(t *testing.T) {
	p := project(t)
	_, port, _ := strings.Cut(defaults(t).Listen, ":")
	var want []string
	for _, s := range replicas(p) {
		want = append(want, s.Name+":"+port)
		if len(shared(s, p.Services["balancer"])) == 0 {
			t.Errorf("the balancer is in no network with %s", s.Name)
		}
		if listen := env(s, "COUNTERSIGN_LISTEN"); listen != "" {
			t.Errorf("%s listens on %s, where no client connects", s.Name, listen)
		}
	}
	proxies := regexp.MustCompile(`(?m)^\s*reverse_proxy (?:@\S+ )?(.*) \{$`).FindAllStringSubmatch(caddyfile(t), -1)
	if len(proxies) == 0 {
		t.Fatal("the Caddyfile proxies nothing")
	}
	for _, proxy := range proxies {
		if got := strings.Fields(proxy[1]); !slices.Equal(got, want) {
			t.Errorf("the Caddyfile proxies to %q, want %q", got, want)
		}
	}
}

func TestReplicasKnowTheDatabase(t *testing.T) {
	p := project(t)
	for _, s := range replicas(p) {
		u, err := url.Parse(env(s, "COUNTERSIGN_DATABASE_URL"))
		if err != nil {
			t.Fatal(err)
		}
		db, ok := p.Services[u.Hostname()]
		if !ok || len(shared(s, db)) == 0 {
			t.Fatalf("%s is to find the database at %s, where it can't reach it", s.Name, u.Host)
		}
		if u.Scheme != "mysql" || u.Port() != "3306" {
			t.Errorf("%s is to speak to %s, want MySQL at its port", s.Name, u)
		}
		if _, ok := u.User.Password(); ok {
			t.Errorf("%s has a password in %s", s.Name, u)
		}
		if user, name := env(db, "MYSQL_USER"), env(db, "MYSQL_DATABASE"); u.User.Username() != user || u.Path != "/"+name {
			t.Errorf("%s is to use %s as %s, but the database makes %s for %s", s.Name, u.Path, u.User, name, user)
		}
		if ours, theirs := env(s, "COUNTERSIGN_DATABASE_PASSWORD_FILE"), env(db, "MYSQL_PASSWORD_FILE"); ours != theirs {
			t.Errorf("%s has the password of %s, but the database that of %s", s.Name, ours, theirs)
		}
	}
}

func TestDatabaseIsOutOfReach(t *testing.T) {
	p := project(t)
	db := p.Services["db"]
	if names := shared(db, p.Services["balancer"]); len(names) > 0 {
		t.Errorf("the balancer reaches the database through %v", names)
	}
	for name := range db.Networks {
		if !p.Networks[name].Internal {
			t.Errorf("the database's network %s isn't internal", name)
		}
	}
	if got := env(db, "MYSQL_ROOT_HOST"); got != "localhost" {
		t.Errorf("root may sign in from %q, want localhost", got)
	}
}

// The replicas must believe only the balancer about callers' addresses, and no other
// container may get its address.
func TestReplicasTrustTheBalancerOnly(t *testing.T) {
	p := project(t)
	for _, s := range replicas(p) {
		common := shared(s, p.Services["balancer"])
		if len(common) != 1 {
			t.Fatalf("%s and the balancer share the networks %v, want one", s.Name, common)
		}
		address := p.Services["balancer"].Networks[common[0]].Ipv4Address
		if got := env(s, "COUNTERSIGN_TRUSTED_PROXIES"); got != address || got == "" {
			t.Errorf("%s trusts %q, want the balancer's address %q", s.Name, got, address)
		}
		pool := p.Networks[common[0]].Ipam.Config[0]
		fixed, subnet, given := netip.MustParseAddr(address), netip.MustParsePrefix(pool.Subnet), netip.MustParsePrefix(pool.IPRange)
		if !subnet.Contains(fixed) || !subnet.Contains(given.Addr()) || given.Contains(fixed) || given.Bits() <= subnet.Bits() {
			t.Errorf("the balancer is %v in %v, of which %v is given to others", fixed, subnet, given)
		}
		for _, other := range services(p) {
			if n := other.Networks[common[0]]; other.Name != "balancer" && n != nil && n.Ipv4Address != "" {
				t.Errorf("%s has the fixed address %s", other.Name, n.Ipv4Address)
			}
		}
	}
}

func TestServicesWaitForHealth(t *testing.T) {
	p := project(t)
	waits := 0
	for _, s := range services(p) {
		for name, on := range s.DependsOn {
			waits++
			if on.Condition != types.ServiceConditionHealthy {
				t.Errorf("%s waits until %s is %s, want %s", s.Name, name, on.Condition, types.ServiceConditionHealthy)
			}
			// Our image has its own health check.
			if other := p.Services[name]; other.Image != "countersign" && (other.HealthCheck == nil || other.HealthCheck.Disable) {
				t.Fatalf("%s waits for the health of %s, which has no check", s.Name, name)
			}
		}
	}
	if n := len(replicas(p)); waits != 2*n { // each replica waits for the database, and the balancer for each replica
		t.Errorf("%d dependencies, want %d", waits, 2*n)
	}
	for _, s := range replicas(p) {
		if s.HealthCheck != nil {
			t.Errorf("%s has a health check of its own, want the image's", s.Name)
		}
	}
	// While the image sets up the database, it runs a server without a port.
	if check := strings.Join(p.Services["db"].HealthCheck.Test, " "); !strings.Contains(check, "--host=127.0.0.1") {
		t.Errorf("the database is checked by %q, want over TCP", check)
	}
}

func TestSecretsGoWhereTheyAreNeeded(t *testing.T) {
	p := project(t)
	for _, s := range services(p) {
		var named, mounted []string
		for name, value := range s.Environment {
			if strings.HasSuffix(name, "_FILE") {
				secret, ok := strings.CutPrefix(*value, "/run/secrets/")
				if !ok {
					t.Errorf("%s: %s is %s, want a secret", s.Name, name, *value)
				}
				named = append(named, secret)
			} else if regexp.MustCompile(`PASSWORD|SECRET|KEY`).MatchString(name) {
				t.Errorf("%s has a secret in its environment: %s", s.Name, name)
			}
		}
		for _, secret := range s.Secrets {
			mounted = append(mounted, secret.Source)
			if secret.Target != "" && secret.Target != "/run/secrets/"+secret.Source {
				t.Errorf("%s has %s at %s", s.Name, secret.Source, secret.Target)
			}
		}
		slices.Sort(named)
		slices.Sort(mounted)
		if !slices.Equal(named, mounted) {
			t.Errorf("%s reads the secrets %q and has %q", s.Name, named, mounted)
		}
		for _, name := range mounted {
			if got, want := p.Secrets[name].File, filepath.Join(p.WorkingDir, "secrets", name); got != want {
				t.Errorf("the secret %s is the file %q, want %q", name, got, want)
			}
		}
	}
	guide := read(t, "docs/containers.md")
	for name := range p.Secrets {
		if !strings.Contains(guide, "head -c 32 /dev/urandom | base64 > secrets/"+name+"\n") {
			t.Errorf("docs/containers.md doesn't say how the secret %s is made", name)
		}
	}
	if err := exec.Command("git", "-C", top, "rev-parse").Run(); err != nil {
		t.Skip("not a git checkout")
	}
	for _, name := range []string{"secrets/master_key", ".env"} {
		if err := exec.Command("git", "-C", top, "check-ignore", "-q", name).Run(); err != nil {
			t.Errorf("git would take %s in", name)
		}
	}
}

func TestServicesHaveFewRights(t *testing.T) {
	p := project(t)
	writable := map[string][]string{
		"balancer": {"/data"},
		"db":       {"/tmp", "/var/lib/mysql", "/var/run/mysqld"},
	}
	for _, s := range services(p) {
		if s.Restart != types.RestartPolicyUnlessStopped {
			t.Errorf("%s is restarted %q", s.Name, s.Restart)
		}
		if !s.ReadOnly || s.Privileged || !slices.Equal(s.CapDrop, []string{"ALL"}) ||
			!slices.Contains(s.SecurityOpt, "no-new-privileges:true") {
			t.Errorf("%s: read_only %v, privileged %v, cap_drop %v, security_opt %v", s.Name, s.ReadOnly, s.Privileged, s.CapDrop, s.SecurityOpt)
		}
		var caps []string
		if s.Name == "balancer" { // the balancer starts as root, which owns the files in its volume
			caps = []string{"NET_BIND_SERVICE"}
		}
		if !slices.Equal(s.CapAdd, caps) {
			t.Errorf("%s has the capabilities %v, want %v", s.Name, s.CapAdd, caps)
		}
		var got []string
		for _, tmp := range s.Tmpfs {
			where, _, _ := strings.Cut(tmp, ":")
			got = append(got, where)
		}
		for _, v := range s.Volumes {
			switch {
			case v.ReadOnly:
				if _, err := os.Stat(v.Source); err != nil {
					t.Errorf("%s mounts what isn't there: %v", s.Name, err)
				}
			case v.Type == types.VolumeTypeVolume && p.Volumes[v.Source].Name != "": // a named volume outlives the container
				got = append(got, v.Target)
			default:
				t.Errorf("%s may write to %s %q, want a named volume", s.Name, v.Type, v.Source)
			}
		}
		slices.Sort(got)
		if !slices.Equal(got, writable[s.Name]) {
			t.Errorf("%s may write to %q, want %q", s.Name, got, writable[s.Name])
		}
	}
	if user := p.Services["db"].User; user == "" || user == "root" || strings.HasPrefix(user, "0") {
		t.Errorf("the database runs as %q", user)
	}
}

func TestServicesHaveTheTimeToStop(t *testing.T) {
	p := project(t)
	grace := regexp.MustCompile(`(?m)^\s*grace_period (\S+)$`).FindStringSubmatch(caddyfile(t))
	if grace == nil {
		t.Fatal("the Caddyfile has no grace_period")
	}
	patience, err := time.ParseDuration(grace[1])
	if err != nil {
		t.Fatal(err)
	}
	takes := map[string]time.Duration{"balancer": patience, "db": time.Minute}
	for _, s := range replicas(p) {
		takes[s.Name] = defaults(t).ShutdownTimeout
	}
	for _, s := range services(p) {
		if s.StopGracePeriod == nil || time.Duration(*s.StopGracePeriod) <= takes[s.Name] {
			t.Errorf("%s is killed after %v, and may need %v", s.Name, s.StopGracePeriod, takes[s.Name])
		}
	}
}

func TestImagesArePinned(t *testing.T) {
	images := map[string]string{} // images by the place that names them
	for _, s := range services(project(t)) {
		if s.Image != "countersign" {
			images[s.Name] = s.Image
		}
	}
	for _, s := range dockerfile(t).stages {
		if s.from != "scratch" {
			images["stage "+s.name] = s.from
		}
	}
	for where, image := range images {
		if !regexp.MustCompile(`^[a-z/.]+:\d+\.\d+[a-z0-9.-]*$`).MatchString(image) {
			t.Errorf("%s is %s, want a tag with major and minor version", where, image)
		}
	}
}
