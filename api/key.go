package api

import "countersign/keys"

// Key is a signing key as operators see it. Its times are exact: servers obey them to
// the millisecond.
type Key struct {
	KID            string `json:"kid"`
	Alg            string `json:"alg"`
	State          string `json:"state"`
	PublishedFrom  string `json:"published_from"`
	SignsFrom      string `json:"signs_from"`
	SignsUntil     string `json:"signs_until"`
	PublishedUntil string `json:"published_until"`
}

// DescribeKey returns the view of a signing key.
func DescribeKey(k keys.Info) Key {
	return Key{
		KID: k.KID, Alg: k.Alg, State: string(k.State),
		PublishedFrom: exactly(k.PublishedFrom), SignsFrom: exactly(k.SignsFrom),
		SignsUntil: exactly(k.SignsUntil), PublishedUntil: exactly(k.PublishedUntil),
	}
}
