// Package secrecy keeps secrets out of logs, messages and JSON while they travel: client
// secrets, passwords, master keys.
package secrecy

import "log/slog"

// Text is a secret. Convert it to string to use it. A struct keeps it in an exported field:
// fmt prints unexported ones without asking their methods.
type Text string

// String hides the secret; an empty one shows as empty.
func (t Text) String() string {
	if t == "" {
		return ""
	}
	return "[secret]"
}

// GoString hides the secret from %#v.
func (t Text) GoString() string { return t.String() }

// LogValue hides the secret from slog.
func (t Text) LogValue() slog.Value { return slog.StringValue(t.String()) }

// MarshalText hides the secret from JSON. Reading JSON takes it as it is.
func (t Text) MarshalText() ([]byte, error) { return []byte(t.String()), nil }
