package configs

import (
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"

	"countersign/input"
	"countersign/secrecy"
)

// leaf is one key and the field that holds its value.
type leaf struct {
	key    string // dotted
	value  reflect.Value
	tag    reflect.StructTag
	unused bool
}

// leaves lists the keys of a struct in the order of its fields. The file, the
// environment, defaults and ranges, Show and Unused all use this one walk.
func leaves(prefix string, v reflect.Value) []leaf {
	var ls []leaf
	for f, fv := range v.Fields() {
		name := f.Tag.Get("yaml")
		if name == "" || name == "-" {
			continue
		}
		if name == ",inline" {
			ls = append(ls, leaves(prefix, fv)...)
			continue
		}
		key := join(prefix, name)
		sub := []leaf{{key: key, value: fv, tag: f.Tag}}
		if fv.Kind() == reflect.Struct {
			sub = leaves(key, fv)
		}
		for _, l := range sub {
			l.unused = l.unused || f.Tag.Get("unused") != ""
			ls = append(ls, l)
		}
	}
	return ls
}

func (c *Config) leaves() []leaf { return leaves("", reflect.ValueOf(c).Elem()) }

// env returns the environment variable that sets the key.
func (l leaf) env() string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(l.key, ".", "_"))
}

// standard returns the default in the key's tags, as text.
func (l leaf) standard(dev bool) string {
	if text, ok := l.tag.Lookup("dev"); ok && dev {
		return text
	}
	return l.tag.Get("default")
}

func join(prefix, name string) string {
	if prefix == "" {
		return name
	}
	return prefix + "." + name
}

// parse sets v to the value of text. The error is the rule that text breaks.
func parse(v reflect.Value, text string) (err error) {
	switch p := v.Addr().Interface().(type) {
	case *string:
		*p = text
	case *secrecy.Text:
		*p = secrecy.Read([]byte(text))
	case *bool:
		if text != "true" && text != "false" {
			return fmt.Errorf("must be true or false, not %s", quote(text))
		}
		*p = text == "true"
	case *int:
		n, err := strconv.Atoi(text)
		if err != nil {
			return fmt.Errorf("must be a whole number, not %s", quote(text))
		}
		*p = n
	case *time.Duration:
		*p, err = parseDuration(text)
	case *ByteSize:
		*p, err = ParseByteSize(text)
	case *[]string:
		*p, err = parseList(text)
	default:
		panic("configs: a field of type " + v.Type().String() + " has no text form")
	}
	return err
}

// format is the inverse of parse, except for secrets, which it hides.
func format(v reflect.Value) string {
	switch x := v.Interface().(type) {
	case time.Duration:
		return input.Duration(x)
	case []string:
		items := make([]string, len(x))
		for i := range x {
			items[i] = redact(x[i])
		}
		return strings.Join(items, ",")
	default:
		return redact(fmt.Sprint(x))
	}
}

// longest bounds every duration, so that sums of a few of them can't overflow.
const longest = 50 * 365 * 24 * time.Hour

func parseDuration(text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	switch {
	case err != nil:
		return 0, fmt.Errorf("must be a duration such as 90s, 15m or 720h, not %s", quote(text))
	case d < 0:
		return 0, fmt.Errorf("must not be negative, but is %s", quote(text))
	case d > longest:
		return 0, fmt.Errorf("must be at most %s (50 years), not %s", input.Duration(longest), quote(text))
	}
	return d, nil
}

func parseList(text string) ([]string, error) {
	if strings.TrimSpace(text) == "" {
		return nil, nil
	}
	list := strings.Split(text, ",")
	for i := range list {
		if list[i] = strings.TrimSpace(list[i]); list[i] == "" {
			return nil, fmt.Errorf("has an empty item in %s: write one comma between items", quote(text))
		}
	}
	return list, nil
}

// ByteSize is an amount of memory in bytes, written as 512KiB, 19MiB or 1GiB.
type ByteSize int64

// The units of a ByteSize.
const (
	KiB ByteSize = 1 << 10
	MiB ByteSize = 1 << 20
	GiB ByteSize = 1 << 30
)

var byteUnits = []struct {
	suffix string
	size   ByteSize
}{{"GiB", GiB}, {"MiB", MiB}, {"KiB", KiB}}

// ParseByteSize reads a whole number with one of the suffixes KiB, MiB, GiB.
func ParseByteSize(text string) (ByteSize, error) {
	for _, u := range byteUnits {
		if digits, ok := strings.CutSuffix(text, u.suffix); ok {
			if n, err := strconv.ParseUint(digits, 10, 32); err == nil {
				return ByteSize(n) * u.size, nil
			}
		}
	}
	return 0, fmt.Errorf("must be a size such as 512KiB, 19MiB or 1GiB, not %s", quote(text))
}

// String writes the size in the largest unit that divides it.
func (b ByteSize) String() string {
	for _, u := range byteUnits {
		if b != 0 && b%u.size == 0 {
			return fmt.Sprintf("%d%s", b/u.size, u.suffix)
		}
	}
	return fmt.Sprintf("%dKiB", b/KiB)
}

// errRange returns an error if l's value is outside the range in its tags, or nil.
func (l leaf) errRange() error {
	bound := func(name string) (text string, n int64, ok bool) {
		if text, ok = l.tag.Lookup(name); !ok {
			return "", 0, false
		}
		v := reflect.New(l.value.Type()).Elem()
		if err := parse(v, text); err != nil {
			panic("configs: " + name + " tag of " + l.key + ": " + err.Error())
		}
		return text, v.Int(), true
	}
	if text, least, ok := bound("min"); ok && l.value.Int() < least {
		return errors.New("must be at least " + text + ", not " + format(l.value))
	}
	if text, most, ok := bound("max"); ok && l.value.Int() > most {
		return errors.New("must be at most " + text + ", not " + format(l.value))
	}
	return nil
}
