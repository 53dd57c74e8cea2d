package main

import (
	"cmp"
	"fmt"
	"runtime"
	"runtime/debug"
)

// release is the version of a release build, set by the linker.
var release string

type versionCmd struct{ printing }

// versionRecord identifies this binary.
type versionRecord struct {
	Version string `json:"version"`
	Commit  string `json:"commit"`
	Go      string `json:"go"`
}

// String returns the version in one line.
func (v versionRecord) String() string {
	return fmt.Sprintf("countersign %s (commit %s, %s)", v.Version, v.Commit, v.Go)
}

// version returns what the toolchain recorded in the binary.
func version() versionRecord {
	v := versionRecord{Version: release, Commit: "unknown", Go: runtime.Version()}
	if info, ok := debug.ReadBuildInfo(); ok {
		v.Version = cmp.Or(v.Version, info.Main.Version)
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				v.Commit = s.Value
			}
		}
	}
	v.Version = cmp.Or(v.Version, "(devel)")
	return v
}

func (v *versionCmd) Run(std stdio) error {
	return printOne(v.printing, std.out, version(), []column[versionRecord]{
		{"version", func(r versionRecord) string { return r.Version }, cut},
		{"commit", func(r versionRecord) string { return r.Commit }, cut},
		{"go", func(r versionRecord) string { return r.Go }, cut},
	})
}
