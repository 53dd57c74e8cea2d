package countersign_test

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

var (
	requirement = regexp.MustCompile(`(?m)^(\d+)\. `)
	required    = regexp.MustCompile(`(?m)^// Requirement: line (\d+)\.\nfunc Test`)
	mentioned   = regexp.MustCompile(`(?m)^.*// Requirement:.*$`)
)

// Every line of docs/requirements.md has a test that names it in a comment directly
// above itself, and no test names another line.
func TestEveryRequirementHasATest(t *testing.T) {
	doc, err := os.ReadFile("docs/requirements.md")
	if err != nil {
		t.Fatal(err)
	}
	tests := map[int]int{}
	for _, line := range requirement.FindAllSubmatch(doc, -1) {
		n, _ := strconv.Atoi(string(line[1]))
		tests[n] = 0
	}
	err = filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") || path == "requirements_test.go" {
			return err
		}
		text, err := os.ReadFile(path)
		for _, found := range required.FindAllSubmatch(text, -1) {
			n, _ := strconv.Atoi(string(found[1]))
			if _, known := tests[n]; !known {
				t.Errorf("%s: there is no requirement %d", path, n)
			}
			tests[n]++
		}
		all := mentioned.FindAll(text, -1)
		if n := len(required.FindAll(text, -1)) + bytes.Count(text, []byte("\n// Requirement: logout.\nfunc Test")); n != len(all) {
			t.Errorf("%s: %d of %d comments on requirements are directly above a test and of the form '// Requirement: line 22.'", path, n, len(all))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for n, found := range tests {
		if found == 0 {
			t.Errorf("requirement %d has no test", n)
		}
	}
}
