// Package accounts keeps users: how they prove who they are, what they say of
// themselves, and which letters they get.
//
// It stores passwords only as hashes, and never puts them into an error or a log. A
// failed proof looks and costs the same whatever failed. Guesses have a budget
// (limits.Throttle), for names that don't exist just as for those that do. Hashing
// takes bounded memory (hashing.Hasher), so that a flood of sign-ins slows sign-ins
// only. A letter is stored with the change that causes it; the server sends it later.
//
// Start with Users.Authenticate.
package accounts
