package main

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"
)

// operatorAddress returns where a process serves its operator.
func operatorAddress(t *testing.T, p *process) string {
	t.Helper()
	p.await("serving the operator")
	var entry struct {
		Address string `json:"admin_listen"`
	}
	if err := json.Unmarshal([]byte(p.said("serving the operator")[0]), &entry); err != nil {
		t.Fatal(err)
	}
	return "http://" + entry.Address
}

// The server tells its operator what its parts did, all of them measured.
func TestServeMeasures(t *testing.T) {
	t.Parallel()
	p := launch(t, t.TempDir(), "COUNTERSIGN_ADMIN_LISTEN=127.0.0.1:0", "COUNTERSIGN_ADMIN_PPROF=true")
	admin := operatorAddress(t, p)
	p.await("serving")
	if _, err := p.signup("alice", processPassword); err != nil {
		t.Fatal(err)
	}
	if _, err := p.login("alice", processPassword); err != nil {
		t.Fatal(err)
	}
	get := func(url string) (int, string) {
		t.Helper()
		res, err := http.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, string(b)
	}
	status, text := get(admin + "/metrics")
	if status != http.StatusOK {
		t.Errorf("metrics: %d", status)
	}
	for _, want := range []string{
		`countersign_tokens_issued_total{client_kind="public",grant="password"} 1`,
		`countersign_store_duration_seconds_count{op="CreateSession"} 1`,
		`countersign_store_duration_seconds_count{op="Keys"}`, // the ring's calls, too
		"countersign_sessions 1\n",
		`countersign_keys{alg="ES256",state="signing"} 1`,
		`go="go1.`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s", want)
		}
	}
	if status, _ := get(admin + "/debug/pprof/profile?seconds=1"); status != http.StatusOK {
		t.Errorf("profile: %d", status)
	}
	if _, text := get(admin + "/debug/pprof/block?debug=1"); !strings.Contains(text, "@ 0x") {
		t.Errorf("what goroutines wait for isn't recorded: %s", text)
	}
	if _, text := get(admin + "/debug/pprof/mutex?debug=1"); !strings.Contains(text, "sampling period=10\n") {
		t.Errorf("what holds locks isn't recorded: %s", text)
	}
	for _, path := range []string{"/metrics", "/debug/pprof/"} {
		if status, _ := get(p.base + path); status != http.StatusNotFound {
			t.Errorf("%s at the public listener: %d", path, status)
		}
	}
	p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(20 * time.Second):
		t.Fatal("it doesn't end")
	}
	if p.err != nil {
		t.Errorf("it ended with %v", p.err)
	}
}
