package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"time"

	"golang.org/x/crypto/argon2"
)

// A limit is what the machine does at best of something that jobs consist of: what the
// server does can't be more.
type limit struct {
	name    string
	measure func(d time.Duration) (perSecond float64, err error)
}

// limits are those that need no server.
func limits(folder string, callers int) []limit {
	list := []limit{
		{flushLimit, func(d time.Duration) (float64, error) {
			times, err := flush(folder, d)
			return float64(len(times)) / d.Seconds(), err
		}},
		{sqliteSingle, func(d time.Duration) (float64, error) { return sqliteSwaps(folder, 1, d) }},
		{sqliteGrouped, func(d time.Duration) (float64, error) { return sqliteSwaps(folder, callers, d) }},
		{argonLimit, func(d time.Duration) (float64, error) { return parallel(runtime.GOMAXPROCS(0), d, argonHash), nil }},
	}
	for _, s := range signers() {
		list = append(list, limit{s.alg + " signatures", s.sign}, limit{s.alg + " verifications", s.verify})
	}
	return list
}

const (
	flushLimit    = "disk flushes of 4 KiB"
	sqliteSingle  = "SQLite swaps, one a commit"
	sqliteGrouped = "SQLite swaps, one of each caller a commit"
	argonLimit    = "argon2id, one for each core"
)

// repeat does something for a time, and returns how often it did in a second.
func repeat(d time.Duration, do func() error) (float64, error) {
	n, began := 0, time.Now()
	for time.Since(began) < d {
		if err := do(); err != nil {
			return 0, err
		}
		n++
	}
	return float64(n) / time.Since(began).Seconds(), nil
}

// parallel is repeat by several at once of what can't fail.
func parallel(at int, d time.Duration, do func()) float64 {
	rates := make([]float64, at)
	var running sync.WaitGroup
	for i := range rates {
		running.Go(func() { rates[i], _ = repeat(d, func() error { do(); return nil }) })
	}
	running.Wait()
	sum := 0.0
	for _, r := range rates {
		sum += r
	}
	return sum
}

func argonHash() {
	argon2.IDKey([]byte(password), make([]byte, 16), argonIterations, argonMemoryKiB, 1, 32)
}

// flush appends pages to a file for a time, each when the last is on the disk, and returns
// how long each took.
func flush(folder string, d time.Duration) (times []time.Duration, err error) {
	f, err := os.Create(filepath.Join(folder, "flushed"))
	if err != nil {
		return nil, err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	page := make([]byte, 4096)
	for began := time.Now(); time.Since(began) < d; {
		one := time.Now()
		if _, err := f.Write(page); err != nil {
			return nil, err
		}
		if err := f.Sync(); err != nil {
			return nil, err
		}
		times = append(times, time.Since(one))
	}
	return times, nil
}

// signer is an algorithm of signatures, on one core.
type signer struct {
	alg          string
	sign, verify func(d time.Duration) (float64, error)
}

func signers() []signer {
	digest := sha256.Sum256([]byte("claims"))
	ec, err1 := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	rs, err2 := rsa.GenerateKey(rand.Reader, 2048)
	public, ed, err3 := ed25519.GenerateKey(rand.Reader)
	if err1 != nil || err2 != nil || err3 != nil {
		panic("crypto/rand can't fail")
	}
	verdict := func(ok bool) error {
		if !ok {
			return errors.New("a signature isn't good")
		}
		return nil
	}
	return []signer{
		signing("ES256", func() ([]byte, error) { return ecdsa.SignASN1(rand.Reader, ec, digest[:]) },
			func(s []byte) error { return verdict(ecdsa.VerifyASN1(&ec.PublicKey, digest[:], s)) }),
		signing("RS256", func() ([]byte, error) { return rsa.SignPKCS1v15(rand.Reader, rs, crypto.SHA256, digest[:]) },
			func(s []byte) error { return rsa.VerifyPKCS1v15(&rs.PublicKey, crypto.SHA256, digest[:], s) }),
		signing("EdDSA", func() ([]byte, error) { return ed25519.Sign(ed, digest[:]), nil },
			func(s []byte) error { return verdict(ed25519.Verify(public, digest[:], s)) }),
	}
}

func signing(alg string, sign func() ([]byte, error), verify func([]byte) error) signer {
	return signer{
		alg: alg,
		sign: func(d time.Duration) (float64, error) {
			return repeat(d, func() error { _, err := sign(); return err })
		},
		verify: func(d time.Duration) (float64, error) {
			s, err := sign()
			if err != nil {
				return 0, err
			}
			return repeat(d, func() error { return verify(s) })
		},
	}
}

// percentile returns the least time that p percent of times don't exceed, 0 of none.
func percentile(times []time.Duration, p int) time.Duration {
	if len(times) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(times))
	return sorted[max(0, (len(sorted)*p+99)/100-1)]
}

// median returns the middle one of a list that by orders, the lower of two.
func median[T any](list []T, by func(T) float64) T {
	sorted := slices.Clone(list)
	slices.SortFunc(sorted, func(a, b T) int {
		switch x, y := by(a), by(b); {
		case x < y:
			return -1
		case x > y:
			return 1
		}
		return 0
	})
	return sorted[(len(sorted)-1)/2]
}
