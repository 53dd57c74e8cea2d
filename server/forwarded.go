package server

import (
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"github.com/gin-gonic/gin"
)

const forwardedHeader = "X-Forwarded-For"

// proxies are the addresses and networks whose X-Forwarded-For counts.
type proxies []netip.Prefix

// parseProxies reads IP addresses and networks.
func parseProxies(list []string) (proxies, error) {
	var all proxies
	for _, s := range list {
		network, err := netip.ParsePrefix(s)
		if one, errOne := netip.ParseAddr(s); errOne == nil {
			network, err = netip.PrefixFrom(one, one.BitLen()), nil
		}
		if err != nil {
			return nil, fmt.Errorf("trusted proxies: %w", err)
		}
		all = append(all, network)
	}
	return all, nil
}

func (p proxies) trust(address string) bool {
	a, err := netip.ParseAddr(address)
	return err == nil && slices.ContainsFunc(p, func(network netip.Prefix) bool { return network.Contains(a.Unmap()) })
}

// forwarded makes the addresses in X-Forwarded-For readable to gin, which knows them
// without ports and brackets only. It warns once of a peer that sends the header and is
// not trusted: if that is a proxy, all callers behind it count as one.
func (p proxies) forwarded(log *slog.Logger) gin.HandlerFunc {
	var warned sync.Once
	return func(c *gin.Context) {
		values := c.Request.Header.Values(forwardedHeader)
		if len(values) == 0 {
			return
		}
		if peer := c.RemoteIP(); !p.trust(peer) {
			warned.Do(func() {
				log.Warn("a peer that is not in trusted_proxies sends X-Forwarded-For, which has no effect: if it is your proxy, add it there, or all callers behind it count as one", "address", peer)
			})
			return
		}
		items := strings.Split(strings.Join(values, ","), ",")
		for i, item := range items {
			items[i] = bareAddress(strings.TrimSpace(item))
		}
		c.Request.Header[forwardedHeader] = []string{strings.Join(items, ", ")}
	}
}

// bareAddress returns the address in s, which may have a port and brackets as in
// 192.0.2.1:80, [2001:db8::1]:80 and [2001:db8::1]. It returns anything else as it is.
func bareAddress(s string) string {
	if a, err := netip.ParseAddrPort(s); err == nil {
		return a.Addr().Unmap().String()
	}
	text := s
	if inside, ok := strings.CutPrefix(s, "["); ok {
		if inside, ok = strings.CutSuffix(inside, "]"); ok && strings.Contains(inside, ":") {
			text = inside
		}
	}
	if a, err := netip.ParseAddr(text); err == nil {
		return a.Unmap().String()
	}
	return s
}
