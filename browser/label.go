// Package browser tells browsers apart: by a label that people recognise, and by
// a cookie that remembers which accounts somebody has signed in to with one.
package browser

import (
	"strings"
	"unicode"

	"github.com/mileusna/useragent"
)

// maxLabel bounds a label, in bytes.
const maxLabel = 64

// Label is what a User-Agent header stands for in words, such as "Firefox on
// Linux", or empty if it says nothing. It is for its owner to recognise, and no
// proof of anything.
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

// plain keeps what can stand in a list: printable ASCII, and not much of it.
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
