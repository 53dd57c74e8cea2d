// Package handlers has one file per endpoint and hosted page: decode, call, encode.
// What is decided, is decided in authorize, grants, accounts, tokens and keys.
package handlers

import (
	"github.com/gin-gonic/gin"

	"countersign/browser"
	"countersign/caller"
)

// RequestIDHeader carries the id of a request, which every answer names.
const RequestIDHeader = "X-Request-Id"

// Under these keys handlers leave what the request log should say. Only names
// that exist go there: people paste secrets into fields for names.
const (
	ClientIDKey = "client_id"
	SubjectKey  = "subject"
	ErrorKey    = "error"  // the code of the error that was answered
	OriginKey   = "origin" // of a page that was kept out, for 'cors explain'
)

// RequestID is the id the middleware gave the request.
func RequestID(c *gin.Context) string { return c.Writer.Header().Get(RequestIDHeader) }

// callerOf says who makes the request. uiLocales are the languages that an application
// asks for; without any, those of the browser count. It leaves out which accounts the
// browser is known to: that counts only where pages take proofs, see Devices.caller.
func callerOf(c *gin.Context, uiLocales string) caller.Caller {
	return caller.Caller{
		Address: c.ClientIP(), RequestID: RequestID(c), Language: language(c, uiLocales), Device: browser.Label(c.Request.UserAgent()),
	}
}
