package accounts

import "countersign/hashing/hashingtest"

// Watch lets tests see the work instead of timing it.
func (u *Users) Watch() *hashingtest.Work { return hashingtest.Watch(u.hasher) }

// The inside that a stranger's bytes or an exhaustive list reach.
var (
	PreparePassword = preparePassword
	IsCommon        = isCommon
)

func CommonPasswords() string { return commonPasswords }

// Check is check, which reads what strangers say of themselves.
func (p *Profile) Check() error { return p.check() }
