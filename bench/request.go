package main

import (
	"regexp"

	"github.com/valyala/fasthttp"
)

// request is a step that is ready to be sent. Only what changes is written anew.
type request struct {
	step
	out     *fasthttp.Request
	in      *fasthttp.Response
	changes []change
}

// change is a part of a request that depends on what the caller knows.
type change struct {
	text text
	set  func(value []byte)
	buf  []byte
}

// newRequest prepares a step. All replicas have the first one's name, as behind a load
// balancer.
func newRequest(s step, host string) *request {
	r := &request{step: s, out: &fasthttp.Request{}, in: &fasthttp.Response{}}
	r.out.Header.SetMethod(s.Method)
	r.put("http://"+host+s.Path, func(v []byte) {
		r.out.URI().DisablePathNormalizing = true
		r.out.SetRequestURIBytes(v)
	})
	for name, value := range s.Header {
		r.put(value, func(v []byte) {
			if name == "Cookie" { // which fasthttp adds to those that are there
				r.out.Header.DelAllCookies()
			}
			r.out.Header.SetBytesV(name, v)
		})
	}
	if s.Body != "" {
		r.put(s.Body, r.out.SetBodyRaw)
	}
	return r
}

// put sets a part of the request, now or with each pass.
func (r *request) put(s string, set func([]byte)) {
	if t := parseText(s); len(t) > 1 || t[0].isVar {
		r.changes = append(r.changes, change{text: t, set: set})
	} else {
		set([]byte(s))
	}
}

// fill writes what the caller knows into the request.
func (r *request) fill(vars map[string]string) {
	for i := range r.changes {
		c := &r.changes[i]
		c.buf = c.text.appendTo(c.buf[:0], vars)
		c.set(c.buf)
	}
}

// text is a text with variables.
type text []part

type part struct {
	s     string
	isVar bool
}

var variable = regexp.MustCompile(`\{[a-z]+\}`)

func parseText(s string) text {
	var t text
	for {
		at := variable.FindStringIndex(s)
		if at == nil {
			if s != "" || t == nil {
				t = append(t, part{s: s})
			}
			return t
		}
		if at[0] > 0 {
			t = append(t, part{s: s[:at[0]]})
		}
		t = append(t, part{s: s[at[0]+1 : at[1]-1], isVar: true})
		s = s[at[1]:]
	}
}

func (t text) appendTo(b []byte, vars map[string]string) []byte {
	for _, p := range t {
		if p.isVar {
			b = append(b, vars[p.s]...)
		} else {
			b = append(b, p.s...)
		}
	}
	return b
}
