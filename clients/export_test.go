package clients

import (
	"countersign/hashing/hashingtest"
	"countersign/ids"
	"countersign/secrecy"
)

// Watch lets tests see the work instead of timing it.
func (s *Registry) Watch() *hashingtest.Work { return hashingtest.Watch(s.hasher) }

var MaxProven = maxProven

// Prove makes the registry remember a secret, and returns how many it does.
func (s *Registry) Prove(id ids.Client, secret secrecy.Text) int {
	s.proven.add(id, "hash", secret)
	return len(s.proven.seen)
}
