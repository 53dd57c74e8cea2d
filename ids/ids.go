// Package ids has a type for the ids of each kind of record, so that no code can pass one
// kind for another.
//
// All ids except a client's are UUIDs that the server makes. In text and in JSON they have
// the form of RFC 9562 section 4. The zero id means no record. Start with [New] and [Parse].
package ids

import (
	"fmt"

	"github.com/google/uuid"
)

// The ids of each kind of record.
type (
	User    = of[user]    // the "sub" of every token
	Session = of[session] // the "sid" of its tokens
	Login   = of[login]
	Consent = of[consent]
	Letter  = of[letter]
	Factor  = of[factor]
	// Identity is a user's account at another provider.
	Identity = of[identity]
)

// Client is the id of a client: text that an operator chooses (see clients.CheckID).
type Client string

type user struct{}
type session struct{}
type login struct{}
type consent struct{}
type letter struct{}
type factor struct{}
type identity struct{}

// of is the id of one kind of record.
type of[kind any] uuid.UUID

// New makes an id. Ids made later sort after it (UUID version 7).
func New[ID ~[16]byte]() ID { return ID(uuid.Must(uuid.NewV7())) }

// NewRandom makes an id that cannot be guessed (UUID version 4).
func NewRandom[ID ~[16]byte]() ID { return ID(uuid.New()) }

// Parse parses an id in the form that String returns, in either case. It refuses other
// forms of a UUID (in braces, without hyphens): uuid.Parse accepts any two characters in
// place of the braces, and so takes some names for ids.
func Parse[ID ~[16]byte](text string) (ID, error) {
	if len(text) != len("xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx") {
		return ID{}, fmt.Errorf("%q is not an id", text)
	}
	id, err := uuid.Parse(text)
	return ID(id), err
}

// Resembles reports whether a program may take text for an id: uuid.Parse accepts it, in
// any form.
func Resembles(text string) bool {
	_, err := uuid.Parse(text)
	return err == nil
}

// IsZero reports whether id is the zero id.
func (id of[kind]) IsZero() bool { return id == of[kind]{} }

func (id of[kind]) String() string { return uuid.UUID(id).String() }

// MarshalText implements [encoding.TextMarshaler].
func (id of[kind]) MarshalText() ([]byte, error) { return uuid.UUID(id).MarshalText() }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (id *of[kind]) UnmarshalText(text []byte) (err error) {
	*id, err = Parse[of[kind]](string(text))
	return err
}

// Scan implements database/sql's Scanner for a column of 16 bytes. NULL is the zero id.
// An id has no Value: a query takes its bytes, id[:].
func (id *of[kind]) Scan(src any) error {
	switch b, ok := src.([]byte); {
	case src == nil:
		*id = of[kind]{}
	case ok && len(b) == len(id):
		copy(id[:], b)
	default:
		return fmt.Errorf("an id is 16 bytes, not %T", src)
	}
	return nil
}
