// Package handlers has one file per endpoint and hosted page: decode, call, encode. The
// decisions are made in authorize, grants, signin, accounts, tokens and keys.
package handlers

import (
	"cmp"

	"github.com/gin-gonic/gin"

	"countersign/caller"
	"countersign/ids"
)

// RequestIDHeader carries the id of a request, which every answer names.
const RequestIDHeader = "X-Request-Id"

// Under these keys handlers leave what the request log should say. They leave only
// names that exist, because users paste secrets into fields for names.
const (
	ClientIDKey = "client_id"
	SubjectKey  = "subject"
	ErrorKey    = "error"             // the code of the error that was answered
	ReasonKey   = "error_description" // of an OAuth error, which libraries often hide; ours, without what the caller sent
	RefusalKey  = "refusal"           // the reason that metrics count, where ErrorKey doesn't tell
	OriginKey   = "origin"            // origin of a page that was refused, for 'cors explain'
)

// logClient has the request log name a client.
func logClient(c *gin.Context, id ids.Client) { c.Set(ClientIDKey, string(id)) }

// RequestID is the id the middleware gave the request.
func RequestID(c *gin.Context) string { return c.Writer.Header().Get(RequestIDHeader) }

// unknownAddress stands for the address of a caller whose peer has none that we can read,
// such as a Unix socket. All of those share one network's budgets, and no security event of
// theirs looks like a command's, which has no address.
const unknownAddress = "unknown"

// callerOf describes who makes the request. uiLocales are the languages that an
// application asks for; without any, the browser's count. It leaves out which accounts
// the browser is known to: that matters only where pages take proofs or ask for mail, see
// KnownBrowsers.caller.
func callerOf(c *gin.Context, uiLocales string) caller.Caller {
	return caller.Caller{
		Address: cmp.Or(c.ClientIP(), unknownAddress), RequestID: RequestID(c), Language: language(c, uiLocales), UserAgent: c.Request.UserAgent(),
	}
}
