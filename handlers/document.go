package handlers

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gin-gonic/gin"
)

// document is a body that any cache may keep, ready to be sent: as it is, and compressed if
// that pays. It holds nothing secret, so compressing it tells an attacker nothing.
type document struct {
	kind []string // the value of Content-Type
	// bodies makes both when the first caller asks, because compressing takes longer than
	// anything else at the start. packed is empty where it doesn't pay.
	bodies func() (plain, packed encoded)
}

// encoded is a body in one content coding, with the values of its headers.
type encoded struct {
	body         []byte
	etag, length []string
}

func newEncoded(body []byte, etag string) encoded {
	return encoded{body, []string{`"` + etag + `"`}, []string{strconv.Itoa(len(body))}}
}

// onePacket is about what fits in a response's first packet, in bytes. Compressing less
// saves no time on the way.
const onePacket = 1300

// newDocument returns the document with a body of a media type.
func newDocument(mediaType string, body []byte) *document {
	return &document{[]string{mediaType}, sync.OnceValues(func() (plain, packed encoded) { return encode(body) })}
}

// encode returns a body as it is, and compressed if that pays.
func encode(body []byte) (plain, packed encoded) {
	sum := sha256.Sum256(body)
	tag := base64.RawURLEncoding.EncodeToString(sum[:16])
	plain = newEncoded(body, tag)
	if len(body) <= onePacket {
		return plain, packed
	}
	var small bytes.Buffer
	w, _ := gzip.NewWriterLevel(&small, gzip.BestCompression) // the level exists
	w.Write(body)                                             // a buffer takes everything
	w.Close()
	if small.Len() < len(body) {
		packed = newEncoded(small.Bytes(), tag+"-gzip")
	}
	return plain, packed
}

var inGzip = []string{"gzip"}

// cacheFor returns the value of Cache-Control for a document that caches may keep.
func cacheFor(maxAge time.Duration) []string {
	return []string{"public, max-age=" + strconv.FormatInt(int64(maxAge/time.Second), 10)}
}

// answer sends the document, or 304 if the caller already has it (RFC 9110 section 13.1.2).
func (d *document) answer(c *gin.Context, cacheControl []string) {
	header := c.Writer.Header()
	header["Cache-Control"] = cacheControl
	body, packed := d.bodies()
	compressed := len(packed.body) > 0
	if compressed {
		header.Add("Vary", "Accept-Encoding")
		if compressed = accepts(c.Request.Header["Accept-Encoding"], "gzip"); compressed {
			body = packed
		}
	}
	header["Etag"] = body.etag
	if matches(c.Request.Header["If-None-Match"], body.etag[0]) {
		c.Status(http.StatusNotModified)
		return
	}
	if compressed {
		header["Content-Encoding"] = inGzip
	}
	header["Content-Type"], header["Content-Length"] = d.kind, body.length
	c.Status(http.StatusOK)
	c.Writer.Write(body.body) // an error is the client's going away
}

// matches reports whether an If-None-Match names the etag, compared weakly.
func matches(headers []string, etag string) bool {
	for _, header := range headers {
		for one := range strings.SplitSeq(header, ",") {
			if one = strings.TrimSpace(one); one == "*" || strings.TrimPrefix(one, "W/") == etag {
				return true
			}
		}
	}
	return false
}
