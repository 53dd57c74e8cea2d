package server

// Routes are the engine's routes, as method and path.
func (a *App) Routes() []string {
	var all []string
	for _, r := range a.engine.Routes() {
		all = append(all, r.Method+" "+r.Path)
	}
	return all
}

// AdminRoutes are the routes of the admin listener.
func (a *App) AdminRoutes() []string {
	var all []string
	for _, r := range a.admin.Routes() {
		all = append(all, r.Method+" "+r.Path)
	}
	return all
}
