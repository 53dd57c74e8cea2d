package main

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"
)

// machine returns what a reader has to know of the machine, and of what was measured.
func machine(binary, folder string, d time.Duration) (facts [][2]string, err error) {
	times, err := flush(folder, d)
	if err != nil {
		return nil, err
	}
	version, err := exec.Command(binary, "version", "--json").Output()
	if err != nil {
		return nil, fmt.Errorf("%s version: %w", binary, err)
	}
	return [][2]string{
		{"cores", fmt.Sprint(runtime.GOMAXPROCS(0))},
		{"CPU", valueIn("/proc/cpuinfo", "model name", ":")},
		{"system", strings.Trim(valueIn("/etc/os-release", "PRETTY_NAME", "="), `"`) + ", " + runtime.GOOS + "/" + runtime.GOARCH + " " + firstLine("/proc/sys/kernel/osrelease")},
		{"Go", runtime.Version()},
		{"server", strings.Join(strings.Fields(string(version)), " ")},
		{"load before", firstLine("/proc/loadavg")},
		{"file system", fileSystem(folder)},
		{"disk flush", fmt.Sprintf("median %s, 99th percentile %s, of %d", short(percentile(times, 50)), short(percentile(times, 99)), len(times))},
	}, nil
}

// valueIn returns the value of a name in a file of lines with name and value.
func valueIn(path, name, separator string) string {
	b, _ := os.ReadFile(path)
	for line := range strings.Lines(string(b)) {
		if n, value, found := strings.Cut(line, separator); found && strings.TrimSpace(n) == name {
			return strings.TrimSpace(value)
		}
	}
	return "unknown"
}

func firstLine(path string) string {
	b, _ := os.ReadFile(path)
	line, _, _ := strings.Cut(string(b), "\n")
	return line
}

func fileSystem(folder string) string {
	out, err := exec.Command("stat", "-f", "-c", "%T", folder).Output()
	kind := strings.TrimSpace(string(out))
	switch {
	case err != nil:
		return "unknown"
	case kind == "tmpfs":
		return kind + ": in memory, where a flush costs nothing; set TMPDIR to a folder on a disk"
	}
	return kind
}

// short writes a time with three digits.
func short(d time.Duration) string {
	ms := float64(d) / float64(time.Millisecond)
	switch {
	case ms >= 100:
		return fmt.Sprintf("%.0f ms", ms)
	case ms >= 10:
		return fmt.Sprintf("%.1f ms", ms)
	case ms >= 1:
		return fmt.Sprintf("%.2f ms", ms)
	}
	return fmt.Sprintf("%.3f ms", ms)
}
