// Package spa is a single-page app that shows what the browser module does, for
// serve --dev to serve at /demo. Any web server can serve its files, see config.js.
package spa

import "embed"

// Files are the app.
//
//go:embed *.html *.css *.js *.svg
var Files embed.FS
