package hashing_test

import (
	"strings"
	"testing"

	"countersign/hashing"
	"countersign/limits"
)

const (
	salt = "AAECAwQFBgcICQoLDA0ODw"
	tag  = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
)

func TestPHCStringsThatAreNone(t *testing.T) {
	good := "$argon2id$v=19$m=19456,t=2,p=1$" + salt + "$" + tag
	if price, _, err := hashing.ParsePHC(good); err != nil || price != (hashing.Argon2{MemoryKiB: 19456, Iterations: 2, Parallelism: 1}) {
		t.Fatalf("ParsePHC = %+v, %v", price, err)
	}
	for name, change := range map[string][2]string{
		"another scheme":     {"argon2id", "argon2i"},
		"another version":    {"v=19", "v=16"},
		"no version":         {"v=19$", ""},
		"absurd memory":      {"m=19456", "m=4294967295"},
		"too much memory":    {"m=19456", "m=1048577"},
		"overflowing memory": {"m=19456", "m=4294986752"},
		"no memory":          {"m=19456", "m=0"},
		"too little memory":  {"m=19456", "m=7"},
		"absurd iterations":  {"t=2", "t=4294967295"},
		"no iterations":      {"t=2", "t=0"},
		"absurd lanes":       {"p=1", "p=255"},
		"overflowing lanes":  {"p=1", "p=257"},
		"no lanes":           {"p=1", "p=0"},
		"negative":           {"t=2", "t=-2"},
		"sign":               {"t=2", "t=+2"},
		"leading zero":       {"t=2", "t=02"},
		"space":              {"t=2", "t= 2"},
		"no name":            {"t=2", "2"},
		"other order":        {"m=19456,t=2", "t=2,m=19456"},
		"more parameters":    {"p=1", "p=1,keyid=x"},
		"fewer parameters":   {",p=1", ""},
		"short salt":         {salt, "AAECAwQFBg"},
		"short tag":          {tag, "AAECAwQFBgcICQoLDA0O"},
		"huge tag":           {tag, strings.Repeat("AAAA", 22)},
		"padding":            {salt, salt + "=="},
		"trailing bits":      {salt, salt[:21] + "x"},
		"line break":         {salt, salt[:10] + "\n" + salt[10:]},
		"other alphabet":     {salt, "_" + salt[1:]},
		"more fields":        {tag, tag + "$"},
		"no dollar":          {"$argon2id", "argon2id"},
	} {
		s := strings.Replace(good, change[0], change[1], 1)
		if s == good {
			t.Fatalf("%s: nothing changed", name)
		}
		if price, _, err := hashing.ParsePHC(s); err == nil {
			t.Errorf("%s: %q parsed as %+v", name, s, price)
		}
	}
}

func FuzzPHC(f *testing.F) {
	f.Add("$argon2id$v=19$m=19456,t=2,p=1$" + salt + "$" + tag)
	f.Add("$argon2id$v=19$m=8,t=1,p=1$" + salt + "$" + tag)
	f.Add("$argon2id$v=19$m=,t=,p=$$")
	f.Add("$$$$$")
	f.Fuzz(func(t *testing.T, s string) {
		price, written, err := hashing.ParsePHC(s)
		if err != nil {
			return
		}
		if written != s {
			t.Errorf("%q is written as %q", s, written)
		}
		if price.MemoryKiB < 8 || price.MemoryKiB > 1<<20 || price.Iterations < 1 || price.Iterations > 64 || price.Parallelism < 1 || price.Parallelism > 16 {
			t.Errorf("%q has the price %+v", s, price)
		}
	})
}

func TestPriceOfHashesIsBounded(t *testing.T) {
	for _, price := range []hashing.Argon2{
		{MemoryKiB: 1<<20 + 1, Iterations: 1, Parallelism: 1},
		{MemoryKiB: 8, Iterations: 0, Parallelism: 1},
		{MemoryKiB: 8, Iterations: 65, Parallelism: 1},
		{MemoryKiB: 8, Iterations: 1, Parallelism: 0},
		{MemoryKiB: 8, Iterations: 1, Parallelism: 2},
		{MemoryKiB: 1024, Iterations: 1, Parallelism: 17},
	} {
		if _, err := hashing.New(price, limits.NewSlots(1, 0)); err == nil {
			t.Errorf("New accepts %+v", price)
		}
	}
}
