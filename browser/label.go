// Package browser tells browsers apart: by a label that users recognise, and by a cookie
// that remembers the accounts that users signed in to with the browser.
package browser

import (
	"strings"
	"unicode"

	"github.com/mileusna/useragent"
)

// maxLabel bounds a label, in bytes.
const maxLabel = 64

// Label names the browser of a User-Agent header, such as "Firefox on Linux", or is empty
// if the header doesn't tell. It helps the user recognise it, and proves nothing.
func Label(header string) string {
	if len(header) > 512 {
		header = header[:512]
	}
	agent := useragent.Parse(header)
	name, system := plain(agent.Name), plain(agent.OS)
	if agent.Device == "iPhone" || agent.Device == "iPad" {
		system = agent.Device
	}
	switch {
	case name == "":
		return system
	case system == "":
		return name
	default:
		return name + " on " + system
	}
}

// plain keeps the printable ASCII of s, shortened to fit a list.
func plain(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return -1
		}
		return r
	}, s)
	if len(s) > maxLabel/2-2 {
		s = s[:maxLabel/2-2]
	}
	return strings.TrimFunc(s, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
}
