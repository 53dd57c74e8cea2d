package compose_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
)

// A stage is a stage of a Dockerfile: an image that it builds, perhaps for other stages.
type stage struct {
	name, from   string
	instructions []instruction
}

// An instruction is one line, such as COPY --from=build /a /b.
type instruction struct {
	word  string
	flags map[string][]string
	rest  string
}

// last returns the rest of the stage's last instruction of a kind.
func (s stage) last(t *testing.T, word string) string {
	t.Helper()
	for _, in := range slices.Backward(s.instructions) {
		if in.word == word {
			return in.rest
		}
	}
	t.Fatalf("the stage from %s has no %s", s.from, word)
	return ""
}

// exec returns that instruction as a list of words. It must be one, because the image has
// no shell.
func (s stage) exec(t *testing.T, word string) (words []string) {
	t.Helper()
	rest := strings.TrimPrefix(s.last(t, word), "CMD ") // as in a HEALTHCHECK
	if err := json.Unmarshal([]byte(rest), &words); err != nil || len(words) == 0 {
		t.Fatalf("%s is %s, want a list in JSON: %v", word, rest, err)
	}
	return words
}

// An image is the content of a Dockerfile.
type image struct{ stages []stage }

// final returns the stage that becomes the image.
func (i image) final() stage { return i.stages[len(i.stages)-1] }

// dockerfile parses the Dockerfile, as far as ours needs it.
func dockerfile(t *testing.T) (i image) {
	t.Helper()
	text := regexp.MustCompile(`(?m)^\s*#.*\n`).ReplaceAllString(read(t, "Dockerfile"), "")
	text = strings.ReplaceAll(text, "\\\n", " ")
	for line := range strings.Lines(text) {
		word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		if word == "" {
			continue
		}
		in := instruction{word: word, flags: map[string][]string{}, rest: strings.TrimSpace(rest)}
		for strings.HasPrefix(in.rest, "--") {
			flag, rest, _ := strings.Cut(in.rest, " ")
			name, value, _ := strings.Cut(flag, "=")
			in.flags[name], in.rest = append(in.flags[name], value), strings.TrimSpace(rest)
		}
		if word == "FROM" {
			from, name, _ := strings.Cut(in.rest, " AS ")
			i.stages = append(i.stages, stage{from: from, name: name})
			continue
		}
		if len(i.stages) == 0 {
			t.Fatalf("the Dockerfile begins with %s", word)
		}
		s := &i.stages[len(i.stages)-1]
		s.instructions = append(s.instructions, in)
	}
	return i
}

// buildCommand returns the command that builds the program, and the path of the program.
func (i image) buildCommand(t *testing.T) (command, output string) {
	t.Helper()
	command = i.stages[0].last(t, "RUN")
	output, _, _ = strings.Cut(command[strings.Index(command, " -o ")+len(" -o "):], " ")
	return command, output
}

func TestImageHasTheProgramOnly(t *testing.T) {
	final := dockerfile(t).final()
	if final.from != "scratch" {
		t.Errorf("the image begins with %s", final.from)
	}
	_, built := dockerfile(t).buildCommand(t)
	var copied []string
	for _, in := range final.instructions {
		switch in.word {
		case "RUN":
			t.Errorf("there is nothing that could RUN %s", in.rest)
		case "ADD", "VOLUME":
			t.Errorf("the image has %s %s", in.word, in.rest)
		case "COPY":
			if from := in.flags["--from"]; len(from) != 1 || from[0] != dockerfile(t).stages[0].name {
				t.Errorf("COPY %s is from %v", in.rest, from)
			}
			copied = append(copied, in.rest)
		}
	}
	want := []string{"/etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/", built + " /usr/local/bin/"}
	if !slices.Equal(copied, want) {
		t.Errorf("the image has %q, want %q", copied, want)
	}
}

func TestImageRunsWithoutRights(t *testing.T) {
	final := dockerfile(t).final()
	if user := final.last(t, "USER"); !regexp.MustCompile(`^[1-9]\d*:[1-9]\d*$`).MatchString(user) {
		t.Errorf("the image runs as %s, want numbers that aren't root's", user)
	}
	for word, want := range map[string][]string{
		"ENTRYPOINT":  {"countersign"},
		"CMD":         {"serve"},
		"HEALTHCHECK": {"countersign", "healthcheck"},
	} {
		if got := final.exec(t, word); !slices.Equal(got, want) {
			t.Errorf("%s is %q, want %q", word, got, want)
		}
	}
	if got, want := final.last(t, "EXPOSE"), strings.TrimPrefix(defaults(t).Listen, ":"); got != want {
		t.Errorf("the image exposes %s, and listens on %s", got, want)
	}
}

func TestImageIsBuiltFromHere(t *testing.T) {
	for _, s := range replicas(project(t)) {
		if s.Build == nil {
			continue
		}
		here, err := filepath.Abs(top)
		if err != nil {
			t.Fatal(err)
		}
		if s.Build.Context != here || s.Build.Dockerfile != "Dockerfile" {
			t.Errorf("%s is built from %s by %s", s.Name, s.Build.Context, s.Build.Dockerfile)
		}
	}
	first := dockerfile(t).stages[0]
	version := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindStringSubmatch(read(t, "go.mod"))
	if first.from != "golang:"+version[1] {
		t.Errorf("the program is built by %s, and go.mod asks for %s", first.from, version[1])
	}
}

// If the builder didn't get a tracked file, the program's version would say that the sources
// were changed. A secret that the builder gets may stay in its cache.
func TestBuilderGetsWhatIsTracked(t *testing.T) {
	f, err := os.Open(filepath.Join(top, ".dockerignore"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	patterns, err := ignorefile.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	ignored, err := patternmatcher.New(patterns)
	if err != nil {
		t.Fatal(err)
	}
	matches := func(name string) bool {
		t.Helper()
		yes, err := ignored.MatchesOrParentMatches(name)
		if err != nil {
			t.Fatal(err)
		}
		return yes
	}
	for _, name := range []string{".env", "secrets/master_key", "master.key", "cmd/countersign/master.key",
		"countersign-data/countersign.db", "countersign", "bin/countersign", "test/clients/node/node_modules/jose/package.json"} {
		if !matches(name) {
			t.Errorf("the builder gets %s", name)
		}
	}
	for _, name := range []string{".git/HEAD", ".git/index", "go.mod", "go.sum", "cmd/countersign/main.go", "accounts/common_passwords.txt"} {
		if matches(name) {
			t.Errorf("the builder doesn't get %s", name)
		}
	}
	tracked, err := exec.Command("git", "-C", top, "ls-files", "-z").Output()
	if err != nil {
		t.Skip("not a git checkout")
	}
	for name := range strings.SplitSeq(strings.Trim(string(tracked), "\x00"), "\x00") {
		if matches(name) {
			t.Errorf("the builder doesn't get %s, which git tracks", name)
		}
	}
}
