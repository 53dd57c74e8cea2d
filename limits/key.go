package limits

import (
	"crypto/sha256"
	"encoding/binary"
	"net/netip"
)

// Key names a budget: the purpose it is for, such as "password", and whose it
// is. Different purposes or parts never share a key, however they are cut.
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

// Network is the part of an IP address that one subscriber can't change at
// will: all of an IPv4 address, the first 64 bits of an IPv6 one. What is no
// IP address (the command line has none) stays as it is.
func Network(address string) string {
	a, err := netip.ParseAddr(address)
	if err != nil {
		return address
	}
	a = a.Unmap().WithZone("")
	if a.Is4() {
		return a.String()
	}
	return netip.PrefixFrom(a, 64).Masked().String()
}
