package mail

import (
	"errors"
	"net/netip"
	"strings"

	"countersign/uris"

	"golang.org/x/net/idna"
)

// wireDomain converts domains to A-labels (RFC 5891 section 4). Like mail servers, it
// lets names of ASCII letters pass that are no host names, such as those with an
// underscore.
var wireDomain = idna.New(idna.MapForLookup(), idna.Transitional(false), idna.StrictDomainName(false))

// onTheWire returns an address as it goes to mail servers: with its domain in A-labels,
// which every server knows.
func onTheWire(address string) (string, error) {
	at := strings.LastIndexByte(address, '@')
	if at <= 0 {
		return "", errors.New("not an address")
	}
	if uris.IsASCII(address[at:]) {
		return address, nil
	}
	domain, err := wireDomain.ToASCII(address[at+1:])
	return address[:at+1] + domain, err
}

// heloName returns what EHLO says of a host: its name, or its address as a literal
// (RFC 5321 section 4.1.3).
func heloName(host string) string {
	a, err := netip.ParseAddr(host)
	switch {
	case err != nil:
		return host
	case a.Unmap().Is4():
		return "[" + a.Unmap().String() + "]"
	default:
		return "[IPv6:" + a.WithZone("").String() + "]"
	}
}
