package keys_test

import (
	"testing"
	"time"

	"countersign/store/storetest"
)

func BenchmarkSign(b *testing.B) {
	for _, alg := range []string{"ES256", "RS256", "PS256", "EdDSA"} {
		b.Run(alg, func(b *testing.B) {
			ring := open(b, storetest.Open(b), master(b), monthly, alg)
			b.ReportAllocs()
			for b.Loop() {
				sign(b, ring, alg, time.Minute)
			}
		})
	}
}

func BenchmarkVerify(b *testing.B) {
	for _, alg := range []string{"ES256", "RS256", "PS256", "EdDSA"} {
		b.Run(alg, func(b *testing.B) {
			ring := open(b, storetest.Open(b), master(b), monthly, alg)
			token := sign(b, ring, alg, 10*time.Minute)
			b.ReportAllocs()
			for b.Loop() {
				if err := verify(ring, token); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkJWKS(b *testing.B) {
	ring := open(b, storetest.Open(b), master(b), monthly)
	b.ReportAllocs()
	for b.Loop() {
		ring.JWKS(time.Now())
	}
}
