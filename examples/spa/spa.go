// Package spa is a single-page app that shows what the browser module does. serve --dev
// serves it at /demo, and any web server can serve its files: see config.js.
package spa

import "embed"

// Files has the app's files.
//
//go:embed *.html *.css *.js *.svg
var Files embed.FS
