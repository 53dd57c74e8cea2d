package hashing

// ParsePHC returns the price in a stored hash, and the hash written anew.
func ParsePHC(s string) (Argon2, string, error) {
	h, err := parsePHC(s)
	return h.Argon2, h.String(), err
}
