package programs

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
)

// PythonPackages installs what a file of requirements names, each with its hash, and returns
// the folder for PYTHONPATH. There is no virtual environment: its programs know the folder
// in which they were made.
func PythonPackages(requirements string) (string, error) {
	return cached("python", []string{requirements}, []string{"python3", "-VV"}, func(dir string) error {
		return run("python3", "-m", "pip", "install", "--quiet", "--no-input", "--only-binary", ":all:",
			"--require-hashes", "--requirement", requirements, "--target", dir)
	})
}

// JavaProgram compiles the Java files beside a Maven project, with the value of one of its
// properties, and returns the class path.
func JavaProgram(source, property string) (string, error) {
	files, err := filepath.Glob(filepath.Join(source, "*.java"))
	if err != nil {
		return "", err
	}
	pom := filepath.Join(source, "pom.xml")
	oneMaven.Lock()
	defer oneMaven.Unlock()
	dir, err := cached("java-"+property, append(files, pom), []string{"javac", "-version"}, func(dir string) error {
		jars := filepath.Join(dir, "jars")
		err := run("mvn", "--batch-mode", "--quiet", "--file", pom, "-D"+property, "-DincludeScope=runtime", "-DoutputDirectory="+jars,
			"org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies")
		if err != nil {
			return err
		}
		return run("javac", append([]string{"-proc:none", "-cp", filepath.Join(jars, "*"), "-d", filepath.Join(dir, "classes")}, files...)...)
	})
	return filepath.Join(dir, "classes") + string(filepath.ListSeparator) + filepath.Join(dir, "jars", "*"), err
}

// oneMaven is held while Maven may run: two would fetch into one repository at once.
var oneMaven sync.Mutex

// cached returns a folder of the user's cache that fill has filled, now or in an earlier run
// with the same files and the same answer of a tool about its version.
func cached(name string, files, tool []string, fill func(dir string) error) (string, error) {
	version, err := exec.Command(tool[0], tool[1:]...).Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w: test/prepare says what these tests need", strings.Join(tool, " "), err)
	}
	sum := sha256.New()
	sum.Write(version)
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			return "", err
		}
		fmt.Fprintln(sum, file, len(content))
		sum.Write(content)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "countersign-test", name+"-"+hex.EncodeToString(sum.Sum(nil)[:8]))
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		return dir, err
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		return "", err
	}
	// It has its name only when it is whole, and another process may make the same.
	unfinished, err := os.MkdirTemp(filepath.Dir(dir), name+"-unfinished-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(unfinished)
	if err := fill(unfinished); err != nil {
		return "", err
	}
	if err := os.Rename(unfinished, dir); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", err
	}
	return dir, nil
}

// run runs a command, and its error has what the command said.
func run(name string, args ...string) error { return Run(exec.Command(name, args...)) }

// Run runs a command, and its error has what the command said.
func Run(cmd *exec.Cmd) error {
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, out)
	}
	return nil
}
