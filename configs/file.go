package configs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxFile is the largest file that we read, in bytes: a guard against the wrong file.
const maxFile = 1 << 20

// file decodes one YAML file into a Config. It walks the nodes itself because yaml's
// own decoder stops at the first problem of each kind, and knows neither our keys nor
// our value types.
type file struct {
	name string
	*report
}

func (f *file) load(c *Config) {
	data, err := readFile(f.name)
	if err != nil {
		f.addAt("", "", "%v", err)
		return
	}
	var doc, more yaml.Node
	dec := yaml.NewDecoder(bytes.NewReader(data))
	if err := dec.Decode(&doc); errors.Is(err, io.EOF) {
		return // the file is empty, or has only comments
	} else if err != nil {
		f.syntax(err)
		return
	}
	switch err := dec.Decode(&more); {
	case err == nil:
		f.addAt(f.at(&more), "", "a second document begins here: keep one, and one --- at most")
	case !errors.Is(err, io.EOF):
		f.syntax(err)
	}
	f.mapping(doc.Content[0], "", c.leaves())
}

func readFile(name string) ([]byte, error) {
	r, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("configuration file: %w", err)
	}
	defer r.Close()
	data, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("configuration file: %w", err)
	}
	if len(data) > maxFile {
		return nil, fmt.Errorf("configuration file: %s is larger than 1 MiB: is it the right one?", name)
	}
	return data, nil
}

var syntaxLine = regexp.MustCompile(`^line (\d+): `)

// syntax reports an error of the YAML parser, whose text is "yaml: line 3: reason".
func (f *file) syntax(err error) {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	where := f.name
	if m := syntaxLine.FindStringSubmatch(text); m != nil {
		where, text = where+":"+m[1], text[len(m[0]):]
	}
	f.addAt(where, "", "not YAML: %s", oneLine(text))
}

func (f *file) at(n *yaml.Node) string { return fmt.Sprintf("%s:%d", f.name, n.Line) }

// mapping decodes n into the leaves under prefix.
func (f *file) mapping(n *yaml.Node, prefix string, ls []leaf) {
	if isNull(n) {
		return // the section is empty, or has only comments
	}
	if n.Kind != yaml.MappingNode {
		f.addAt(f.at(n), prefix, "must be a mapping of keys to values, not %s", kind(n))
		return
	}
	seen := map[string]int{} // the line of each key
	for i := 0; i+1 < len(n.Content); i += 2 {
		name, value := n.Content[i], n.Content[i+1]
		if name.Kind != yaml.ScalarNode {
			f.addAt(f.at(name), prefix, "a key must be a plain word, not %s", kind(name))
			continue
		}
		key := join(prefix, name.Value)
		if line, ok := seen[key]; ok {
			f.addAt(f.at(name), oneLine(key), "is here again, after line %d: keep one", line)
			continue
		}
		seen[key] = name.Line
		f.entry(name, value, prefix, ls)
	}
}

func (f *file) entry(name, value *yaml.Node, prefix string, ls []leaf) {
	key := join(prefix, name.Value)
	leafAt := slices.IndexFunc(ls, func(l leaf) bool { return l.key == key })
	section := slices.ContainsFunc(ls, func(l leaf) bool { return strings.HasPrefix(l.key, key+".") })
	switch {
	case strings.Contains(name.Value, "."), name.Value == "", leafAt < 0 && !section:
		f.addAt(f.at(name), oneLine(key), "unknown key%s", suggest(key, names(ls)))
	case section:
		f.mapping(value, key, ls)
	case ls[leafAt].tag.Get("only") == "env":
		f.addAt(f.at(name), key, "is a secret, which a file must not hold: set %s", ls[leafAt].env())
	default:
		f.places[key] = place{"file", f.at(value)}
		f.value(value, key, ls[leafAt])
	}
}

// names returns the names that a file may have: leaves and their sections.
func names(ls []leaf) []string {
	var all []string
	for _, l := range ls {
		if i := strings.LastIndexByte(l.key, '.'); i > 0 {
			all = append(all, l.key[:i])
		}
		all = append(all, l.key)
	}
	return all
}

// value decodes n into the field of a key.
func (f *file) value(n *yaml.Node, key string, l leaf) {
	v := l.value
	switch {
	case isNull(n):
		f.add(key, "has no value: give it one (%s) or take the key out", example(v))
	case l.tag.Get("words") != "" && n.Kind == yaml.ScalarNode:
		f.word(n, key, strings.Split(l.tag.Get("words"), ","), v.Addr().Interface().(*[]string))
	case v.Type() == reflect.TypeFor[[]Client]():
		items(f, n, key, "clients", v.Addr().Interface().(*[]Client))
	case v.Type() == reflect.TypeFor[[]Upstream]():
		items(f, n, key, "providers", v.Addr().Interface().(*[]Upstream))
	case v.Kind() == reflect.Slice:
		f.list(n, key, v.Addr().Interface().(*[]string))
	case v.Kind() == reflect.String:
		if text, ok := f.text(n, key); ok {
			v.SetString(text)
		}
	case n.Kind != yaml.ScalarNode || n.Style&yaml.TaggedStyle != 0:
		f.add(key, "must be one value, not %s", kind(n))
	default:
		if err := parse(v, n.Value); err != nil {
			f.add(key, "%v", err)
		}
	}
}

// text reads a string. It refuses a bare 5 or true, because YAML may read another value
// than the one written, as in 1_000 or 0x10.
func (f *file) text(n *yaml.Node, key string) (string, bool) {
	if n.Kind != yaml.ScalarNode || n.Tag != "!!str" {
		f.add(key, "must be text, not %s: if it is meant so, put it in quotes", kind(n))
		return "", false
	}
	return n.Value, true
}

func (f *file) list(n *yaml.Node, key string, to *[]string) {
	if n.Kind != yaml.SequenceNode {
		f.add(key, "must be a list such as [a, b], not %s", kind(n))
		return
	}
	list := make([]string, len(n.Content))
	for i, item := range n.Content {
		key := fmt.Sprintf("%s[%d]", key, i)
		f.places[key] = place{"file", f.at(item)}
		list[i], _ = f.text(item, key)
	}
	*to = list
}

// word reads a word that stands for a list.
func (f *file) word(n *yaml.Node, key string, words []string, to *[]string) {
	if !slices.Contains(words, n.Value) || n.Tag != "!!str" {
		f.add(key, "must be %s, or a list such as [a, b], not %s", strings.Join(words, " or "), kind(n))
		return
	}
	*to = []string{n.Value}
}

// items decodes n into a list of structs, called what, each of which begins with its
// defaults.
func items[T any](f *file, n *yaml.Node, key, what string, to *[]T) {
	if n.Kind != yaml.SequenceNode {
		f.add(key, "must be a list of %s, not %s", what, kind(n))
		return
	}
	list := make([]T, len(n.Content))
	for i, item := range n.Content {
		key := fmt.Sprintf("%s[%d]", key, i)
		f.places[key] = place{"file", f.at(item)}
		ls := leaves(key, reflect.ValueOf(&list[i]).Elem())
		for _, l := range ls {
			if text := l.standard(false); text != "" {
				if err := parse(l.value, text); err != nil {
					panic("configs: default of " + l.key + ": " + err.Error())
				}
			}
		}
		f.mapping(item, key, ls)
	}
	*to = list
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

// kind returns the kind of n, for a message.
func kind(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	case yaml.AliasNode:
		return "an alias (*" + oneLine(n.Value) + "), which this file can't use"
	}
	if n.Style&yaml.TaggedStyle != 0 {
		return "a value tagged " + oneLine(n.Tag)
	}
	return quote(n.Value)
}

// example returns a value that v may have, for a message.
func example(v reflect.Value) string {
	switch v.Kind() {
	case reflect.Slice:
		return "[] for none"
	case reflect.String:
		return `"" for none`
	}
	return "such as " + format(v)
}
