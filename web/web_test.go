package web_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

func TestModule(t *testing.T) {
	// go test must not reuse a cached result when these files have changed. It notices
	// changes of files that a test has looked at.
	for _, name := range []string{"countersign.js", "countersign.test.js", "package.json"} {
		if _, err := os.Stat(name); err != nil {
			t.Fatal(err)
		}
	}
	out, err := exec.CommandContext(t.Context(), "node", "--test", "--test-reporter=tap", "countersign.test.js").CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Fatalf("node --test: %v (these tests need Node.js 20 or later)", err)
	}
	// Node lets a file without tests pass, and skipped tests, too.
	if strings.Contains(string(out), "\n# pass 0\n") || !strings.Contains(string(out), "\n# skipped 0\n") {
		t.Fatal("no test ran, or some were skipped")
	}
}
