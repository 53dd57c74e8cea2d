package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// packages has a package with each outcome.
var packages = map[string]string{
	"good": `
		func TestGood(t *testing.T) { fmt.Println("good said this"); t.Log("good logged this") }
		func TestSlow(t *testing.T) { t.Run("sub", func(t *testing.T) { time.Sleep(300 * time.Millisecond) }) }
		func TestSkipped(t *testing.T) { t.Skip("skipped said why") }`,
	"bad": `
		func TestGood(t *testing.T) { fmt.Println("good said this") }
		func TestBad(t *testing.T) {
			t.Run("one", func(t *testing.T) { t.Log("this"); t.Error("that") })
			t.Run("two", func(t *testing.T) { t.Log("two logged this") })
		}`,
	"panics": `func TestPanics(t *testing.T) { fmt.Println("before it"); panic("in the end") }`,
	"hangs":  `func TestHangs(t *testing.T) { time.Sleep(time.Hour) }`,
	"broken": `func TestBroken(t *testing.T) { undefined() }`,
}

func TestTimes(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("go.mod", "module m\n\ngo 1.26\n")
	for name, text := range packages {
		write(name+"/a_test.go", "package a\n\nimport (\n\t\"fmt\"\n\t\"testing\"\n\t\"time\"\n)\n\nvar _, _ = fmt.Sprint, time.Second\n\n"+text+"\n")
	}
	t.Chdir(dir)

	for _, test := range []struct {
		args, says, not []string
		code            int
	}{
		{
			[]string{"./good"}, []string{"ok  \tm/good\t", "m/good TestSlow/sub\n", "m/good TestGood\n", "All of it took"},
			[]string{"said", "logged", "=== ", "FAIL", "seed"}, 0,
		},
		{
			[]string{"-timeout", "1s", "./..."}, []string{
				"ok  \tm/good\t", "m/good TestSlow/sub\n",
				": this\n", ": that\n", "--- FAIL: TestBad/one (", "--- FAIL: TestBad (", "FAIL\tm/bad\t",
				"before it\n", "panic: in the end", "goroutine ", "FAIL\tm/panics\t",
				"panic: test timed out after 1s", "FAIL\tm/hangs\t",
				"undefined: undefined", "FAIL\tm/broken [build failed]",
			},
			[]string{"good said", "logged", "=== ", "\nok  \tm/bad"}, 1,
		},
	} {
		var out strings.Builder
		code, err := run(test.args, &out)
		if err != nil || code != test.code {
			t.Errorf("%q: exit code %d, %v, want %d", test.args, code, err, test.code)
		}
		for _, text := range test.says {
			if !strings.Contains(out.String(), text) {
				t.Errorf("%q: there is no %q in:\n%s", test.args, text, &out)
			}
		}
		for _, text := range test.not {
			if strings.Contains(out.String(), text) {
				t.Errorf("%q: there is %q in:\n%s", test.args, text, &out)
			}
		}
		if strings.Index(out.String(), "TestSlow/sub") > strings.LastIndex(out.String(), "TestGood\n") {
			t.Errorf("%q: the slowest is not the first:\n%s", test.args, &out)
		}
	}
}
