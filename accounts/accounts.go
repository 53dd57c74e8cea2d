// Package accounts knows who may ask for tokens, users and clients, how they prove
// who they are, and which letters that takes; what users say of themselves, and what
// they let clients have.
//
// It promises that passwords and secrets are at rest only as hashes and never
// in an error or a log; that a failed proof looks and costs the same whatever
// failed; that guesses are budgeted (limits.Throttle), for names that don't
// exist just as for those that do; and that hashing takes bounded room
// (limits.Slots), so that a flood of sign-ins slows sign-ins only. A letter is posted
// with the change that gives rise to it, and is somebody else's to send.
//
// Start with Users.Authenticate and Clients.Authenticate.
package accounts
