package configs

import (
	"fmt"
	"reflect"
)

// Setting is one key with the value in force.
type Setting struct {
	Key    string `json:"key"`
	Value  string `json:"value"`  // as an environment variable would have it, secrets masked
	Source string `json:"source"` // default, file, env or flag
}

// Show lists all keys in the order of Config, then the non-empty fields of each client and
// each provider.
// It shows no secret.
func (c *Config) Show() []Setting {
	var all []Setting
	add := func(l leaf) {
		all = append(all, Setting{l.key, format(l.value), c.places.of(l.key).source})
	}
	for _, l := range c.leaves() {
		if l.key != "clients" && l.key != "upstreams" {
			add(l)
		}
	}
	for i := range c.Clients {
		for _, l := range leaves(fmt.Sprintf("clients[%d]", i), reflect.ValueOf(&c.Clients[i]).Elem()) {
			if !l.value.IsZero() {
				add(l)
			}
		}
	}
	for i := range c.Upstreams {
		for _, l := range leaves(item("upstreams", i), reflect.ValueOf(&c.Upstreams[i]).Elem()) {
			if !l.value.IsZero() || l.standard(false) != "" {
				add(l)
			}
		}
	}
	return all
}

// Unused lists the keys that have a value but no effect in this version, those of
// declared clients included, so that serve can warn.
func (c *Config) Unused() []string {
	standard := &Config{Dev: c.Dev}
	standard.setDefaults()
	defaults := standard.leaves()

	var keys []string
	for i, l := range c.leaves() {
		if l.unused && !reflect.DeepEqual(l.value.Interface(), defaults[i].value.Interface()) {
			keys = append(keys, l.key)
		}
	}
	for i := range c.Clients {
		for _, l := range leaves(item("clients", i), reflect.ValueOf(&c.Clients[i]).Elem()) {
			if l.unused && !l.value.IsZero() {
				keys = append(keys, l.key)
			}
		}
	}
	return keys
}
