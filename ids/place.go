package ids

// Place is where a user is signed in who asks for a change of the own account: a session
// at an application, or a login at the hosted pages. The zero Place is neither, and nothing
// may be changed from there.
type Place struct {
	Session Session
	// Login, if set, is what asks. Session is then what the same browser has of our own
	// applications, if anything, which may have ended.
	Login Login
}

// IsZero reports whether p is the zero Place.
func (p Place) IsZero() bool { return p == Place{} }
