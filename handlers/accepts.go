package handlers

import (
	"strconv"
	"strings"
)

// accepts reports whether the headers of content negotiation that a caller sends, such as
// Accept and Accept-Encoding, name a value and give it a weight (RFC 9110 section 12.5). A
// wildcard names none.
func accepts(headers []string, value string) bool {
	for _, header := range headers {
		for one := range strings.SplitSeq(header, ",") {
			name, parameters, _ := strings.Cut(one, ";")
			if strings.EqualFold(strings.TrimSpace(name), value) && weighs(parameters) {
				return true
			}
		}
	}
	return false
}

// weighs reports whether parameters leave a value a weight.
func weighs(parameters string) bool {
	for one := range strings.SplitSeq(parameters, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(one), "=")
		if strings.EqualFold(name, "q") {
			q, err := strconv.ParseFloat(value, 64)
			return err == nil && q > 0
		}
	}
	return true
}
