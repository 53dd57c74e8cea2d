package accounts

import "countersign/hashing/hashingtest"

// Watch lets tests see the work instead of timing it.
func (u *Users) Watch() *hashingtest.Work { return hashingtest.Watch(u.hasher) }

// Internals that get untrusted input or that tests call with exhaustive lists.
var (
	PreparePassword = preparePassword
	IsCommon        = isCommon
)

func CommonPasswords() string { return commonPasswords }

// Check exports check, which reads untrusted input.
func (p *Profile) Check() error { return p.check() }
