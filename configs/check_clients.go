package configs

import (
	"errors"
	"maps"

	"countersign/clients"
	"countersign/input"
	"countersign/origins"
)

// ClientRules returns the rules for clients under this configuration.
func (c *Config) ClientRules() clients.Rules {
	return clients.Rules{AnyLoopback: c.Dev, Algorithms: c.Keys.Algorithms, Origins: origins.For(c.Issuer)}
}

func (c *Config) checkClients(r *report) {
	first := map[string]int{}
	for i := range c.Clients {
		key, cl := item("clients", i), &c.Clients[i]
		hasSecret := cl.SecretFile != "" || cl.Secret != ""
		err := clients.CheckDeclared(cl.ID, cl.Settings, hasSecret, c.ClientRules())
		if !r.sound(key+".public") || !r.sound(key+".first_party") || !r.sound(key+".may_introspect") {
			err = nil // the rules for several keys are checked once all can be read
		}
		r.ask(err, func(field string) string {
			if field == "secret" {
				field = "secret_file"
			}
			return key + "." + field
		})
		if cl.ID == "" {
			continue
		}
		if j, ok := first[cl.ID]; ok {
			r.add(key+".id", "%s is the id of %s too: give each client its own", quote(cl.ID), item("clients", j))
			continue
		}
		first[cl.ID] = i
	}
}

// ask reports err, which is what the owner of a rule found, an *input.Error or nil.
// keyOf returns the key that sets a field. It reports no second problem of a key that
// another owner refused.
func (r *report) ask(err error, keyOf func(field string) string) {
	bad, ok := errors.AsType[*input.Error](err)
	if !ok {
		return
	}
	told := maps.Clone(r.bad)
	for _, p := range bad.Problems {
		key := keyOf(p.Field)
		if _, refused := nearest(told, key); refused {
			continue
		}
		switch {
		case len(p.With) > 0:
			keys := []string{key}
			for _, field := range p.With {
				keys = append(keys, keyOf(field))
			}
			r.addPair(keys, "%s", p.Detail)
		case p.Item > 0:
			r.add(item(key, p.Item-1), "%s", redact(p.Detail))
		default:
			r.add(key, "%s", redact(p.Detail))
		}
	}
}

// checkItems reports the errors that check returns for the items of a list.
func (r *report) checkItems(key string, list []string, check func(string) error) {
	for i, s := range list {
		if err := check(s); err != nil {
			r.add(item(key, i), "%s %v", quote(s), err)
		}
	}
}
