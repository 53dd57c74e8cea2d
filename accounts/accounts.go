// Package accounts knows people: how they prove who they are, what they say of
// themselves, and which letters they get.
//
// It promises that passwords are at rest only as hashes and never in an error or a
// log; that a failed proof looks and costs the same whatever failed; that guesses are
// budgeted (limits.Throttle), for names that don't exist just as for those that do; and
// that hashing takes bounded room (hashing.Hasher), so that a flood of sign-ins slows
// sign-ins only. A letter is posted with the change that gives rise to it; package mail
// sends it.
//
// Start with Users.Authenticate.
package accounts
