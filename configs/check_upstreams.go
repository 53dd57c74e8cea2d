package configs

// checkUpstreams reports what is wrong with other providers.
func (c *Config) checkUpstreams(r *report) {
	first := map[string]int{}
	for i := range c.Upstreams {
		key, u := item("upstreams", i), &c.Upstreams[i]
		r.ask(u.Check(u.ClientSecretFile != "", c.Dev), func(field string) string { return key + "." + field })
		if j, ok := first[u.ID]; ok && u.ID != "" {
			r.add(key+".id", "%s is the id of %s too: give each provider its own", quote(u.ID), item("upstreams", j))
			continue
		}
		first[u.ID] = i
	}
}
