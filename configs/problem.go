package configs

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"strconv"
	"strings"
)

// Problem is one thing that is wrong with a configuration. The error of Load
// joins all of them (errors.Join), so its text is one problem per line.
type Problem struct {
	Key    string // dotted; empty if the problem is about a whole file or variable
	Where  string // file:line, environment variable or flag; empty if the key is missing
	Reason string // the broken rule and how to fix it
}

// Error returns the problem in one line.
func (p *Problem) Error() string {
	text := p.Reason
	for _, of := range []string{p.Key, p.Where} {
		if of != "" {
			text = of + ": " + text
		}
	}
	return text
}

// place is where a value was set.
type place struct {
	source string // file, env or flag
	where  string // see Problem.Where
}

// places maps keys, and items such as clients[0].grants[1], to where they were
// set. Keys with their default are absent.
type places map[string]place

// of returns where key was set.
func (ps places) of(key string) place {
	if p, ok := nearest(ps, key); ok {
		return p
	}
	return place{source: "default"}
}

// nearest looks key up, or else its nearest parent: the client of a field, the list of
// an item, and at last "", the whole file.
func nearest[V any](m map[string]V, key string) (v V, ok bool) {
	for {
		if v, ok = m[key]; ok {
			return v, true
		}
		if key == "" {
			return v, false
		}
		key = key[:max(0, strings.LastIndexAny(key, ".["))]
	}
}

// report collects problems.
type report struct {
	places places
	errs   []error
	bad    map[string]bool // keys with a problem; "" stands for an unreadable file
	unread map[string]bool // the keys of bad whose values could not be parsed
}

// add reports a problem with the value of key and where it was set. It ignores a key
// that could not be read: that problem is already reported, and the value is not the
// operator's.
func (r *report) add(key, format string, args ...any) {
	if _, unread := nearest(r.unread, key); !unread {
		r.addAt(r.places.of(key).where, key, format, args...)
	}
}

// addPair reports that the values of keys, each valid, contradict each other; it blames
// the first. It reports nothing if one of them has a problem of its own.
func (r *report) addPair(keys []string, format string, args ...any) {
	where := ""
	for _, k := range keys {
		if !r.sound(k) {
			return
		}
		if where == "" { // the first key may have its default, which has no place
			where = r.places.of(k).where
		}
	}
	r.addAt(where, keys[0], format, args...)
}

func (r *report) addAt(where, key, format string, args ...any) {
	r.errs = append(r.errs, &Problem{Key: key, Where: where, Reason: fmt.Sprintf(format, args...)})
	r.bad[key] = true
}

// readDone ends the reading of values; the checks follow.
func (r *report) readDone() { r.unread = maps.Clone(r.bad) }

// sound reports whether key has no problem so far.
func (r *report) sound(key string) bool {
	_, bad := nearest(r.bad, key)
	return !bad
}

func (r *report) err() error { return errors.Join(r.errs...) }

// quote formats a value for a message: on one line, shortened, without passwords.
func quote(text string) string {
	text = redact(text)
	if len(text) > 200 {
		text = text[:200] + "..."
	}
	return strconv.Quote(text)
}

// password matches the password in a URL. It reaches from the first colon to the last
// @, because an unescaped @ or / in user or password must not end it. It also matches
// in URLs that net/url refuses.
var password = regexp.MustCompile(`(?s)(://[^:]*:).*@`)

// secretOption matches an option of a URL whose name suggests a secret.
var secretOption = regexp.MustCompile(`(?i)([?&][^=&]*(?:pass|pwd|secret|token)[^=&]*=)[^&]*`)

func redact(text string) string {
	text = password.ReplaceAllString(text, "${1}"+masked+"@")
	return secretOption.ReplaceAllString(text, "${1}"+masked)
}
