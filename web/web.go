// Package web holds what a page needs to sign users in: a JavaScript module without
// dependencies, and its types for TypeScript.
package web

import _ "embed"

// Module is the ES module.
//
//go:embed countersign.js
var Module []byte

// Types are the module's TypeScript declarations.
//
//go:embed countersign.d.ts
var Types []byte
