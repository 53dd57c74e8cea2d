package limits

import (
	"crypto/sha256"
	"encoding/binary"
	"net/netip"
)

// Key names a budget by its purpose, such as "password", and by the parts that say
// whose budget it is. Different purposes or parts never share a key, however the
// parts are cut.
func Key(purpose string, parts ...string) [32]byte {
	h := sha256.New()
	write := func(s string) {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(s))))
		h.Write([]byte(s))
	}
	write(purpose)
	for _, p := range parts {
		write(p)
	}
	return [32]byte(h.Sum(nil))
}

// Network returns the part of an IP address that one subscriber can't change at
// will: all of an IPv4 address, the first 64 bits of an IPv6 address. It returns a
// text that is no IP address unchanged (the command line has no address).
func Network(address string) string { return network(address, 64) }

// Site returns the most that a subscriber may have of the Internet: all of an IPv4
// address, the first 48 bits of an IPv6 address (RFC 6177). Some providers give a site to
// each subscriber, some give one to many.
func Site(address string) string { return network(address, 48) }

func network(address string, bits int) string {
	a, err := netip.ParseAddr(address)
	if err != nil {
		return address
	}
	a = a.Unmap().WithZone("")
	if a.Is4() {
		return a.String()
	}
	return netip.PrefixFrom(a, bits).Masked().String()
}
