package handlers

import (
	"encoding/json"
	"net/http"

	"github.com/gin-gonic/gin"
)

// objectWriter writes a JSON object member by member. The status goes out with the first
// page; after an error, nothing more is written.
type objectWriter struct {
	w     gin.ResponseWriter
	file  string // the name under which a browser saves the object
	begun bool
	buf   []byte // what isn't sent yet
	err   error
}

func newObjectWriter(w gin.ResponseWriter, file string) *objectWriter {
	return &objectWriter{w: w, file: file, buf: []byte("{")}
}

// name begins a member.
func (o *objectWriter) name(name string) {
	if o.begun {
		o.buf = append(o.buf, ',')
	}
	o.begun = true
	o.value(name)
	o.buf = append(o.buf, ':')
}

func (o *objectWriter) value(v any) {
	if o.err != nil {
		return
	}
	var text []byte
	text, o.err = json.Marshal(v)
	o.buf = append(o.buf, text...)
}

// member adds a member.
func (o *objectWriter) member(name string, v any) {
	o.name(name)
	o.value(v)
}

// send writes what has come together.
func (o *objectWriter) send() {
	if o.err == nil && !o.w.Written() {
		o.w.Header().Set("Content-Type", "application/json")
		o.w.Header().Set("Content-Disposition", `attachment; filename="`+o.file+`"`)
	}
	if o.err == nil {
		_, o.err = o.w.Write(o.buf)
	}
	o.buf = o.buf[:0]
}

// list adds a member that is a list of what next returns, page by page, until a page is
// empty.
func list[T any](o *objectWriter, name string, next func() ([]T, error)) {
	o.name(name)
	o.buf = append(o.buf, '[')
	for first := true; o.err == nil; {
		var some []T
		if some, o.err = next(); o.err != nil || len(some) == 0 {
			break
		}
		for _, v := range some {
			if !first {
				o.buf = append(o.buf, ',')
			}
			first = false
			o.value(v)
		}
		o.send()
	}
	o.buf = append(o.buf, ']')
}

// end completes the object. It returns an error if nothing has been sent yet, and after
// that breaks the connection.
func (o *objectWriter) end() error {
	o.buf = append(o.buf, '}', '\n')
	if o.send(); o.err != nil && o.w.Written() {
		panic(http.ErrAbortHandler)
	}
	return o.err
}
