package factors

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/protocol/webauthncose"
	"github.com/go-webauthn/webauthn/webauthn"

	"countersign/audit"
	"countersign/caller"
	"countersign/ids"
	"countersign/limits"
)

// A challenge for a new passkey is a seal.Keys.Token of
//
//	nonce(16) expires(8) user(16) session(16) login(16)
const (
	newPasskeyPrefix  = "cs_pk_"
	newPasskeyPurpose = "challenge for a new passkey"
	newPasskeySize    = 16 + 8 + 16 + 16 + 16
)

// CreationOptions returns what a page hands to navigator.credentials.create, as WebAuthn JSON
// ("publicKey"), for a user at a place, or at the zero one for EstablishPasskey. account is
// the name that the device shows. ErrNotOffered.
func (s *Service) CreationOptions(ctx context.Context, now time.Time, user ids.User, account string, at ids.Place) (json.RawMessage, error) {
	if !s.Offers(KindPasskey) {
		return nil, ErrNotOffered
	}
	in, err := s.o.Store.InForce(ctx, user)
	if err != nil {
		return nil, err
	}
	nonce := ids.NewRandom[ids.Factor]()
	message := binary.BigEndian.AppendUint64(nonce[:], uint64(now.Add(challengeLife).UnixMilli()))
	message = slices.Concat(message, user[:], at.Session[:], at.Login[:])
	challenge := s.o.Seal.Token(newPasskeyPrefix, newPasskeyPurpose, message)
	options, _, err := s.party(s.o.RelyingParty.ID).BeginRegistration(&owner{id: user, name: account, display: account},
		webauthn.WithExclusions(descriptors(in.Passkeys)), webauthn.WithCredentialParameters(webauthn.CredentialParametersRecommendedL3()),
		func(o *protocol.PublicKeyCredentialCreationOptions) error {
			o.Challenge = []byte(challenge)
			return nil
		})
	if err != nil {
		return nil, fmt.Errorf("make the options of a new passkey: %w", err)
	}
	return json.Marshal(options.Response)
}

// AddPasskey adds the passkey that a page has made by CreationOptions, as WebAuthn JSON. It is
// in force at once. If it is the user's first factor, the user is signed out everywhere else,
// and AddPasskey returns recovery codes. ErrNotOffered, ErrBadPasskey, ErrTooMany,
// ErrSignedOut, or an *input.Error.
func (s *Service) AddPasskey(ctx context.Context, now time.Time, user ids.User, name string, credential []byte, at ids.Place, from caller.Caller) (Passkey, []string, error) {
	p, err := s.newPasskey(ctx, now, user, name, credential, at)
	if err != nil {
		return Passkey{}, nil, err
	}
	with, err := s.newCodes(ctx, now, user, audit.FactorAdded, from)
	if err != nil {
		return Passkey{}, nil, err
	}
	first, err := s.o.Store.AddPasskey(ctx, p, with.stored, at, with.ev, with.letters...)
	switch {
	case errors.Is(err, ErrTaken):
		return Passkey{}, nil, bad(err)
	case err != nil:
		return Passkey{}, nil, fmt.Errorf("add a passkey: %w", err)
	case !first:
		with.shown = nil
	}
	return p, with.shown, nil
}

// EstablishPasskey is Establish for a passkey that a page has made by CreationOptions without
// a place. ErrUnknown, ErrNotOffered, ErrBadPasskey.
func (s *Service) EstablishPasskey(ctx context.Context, now time.Time, user ids.User, epoch int64, credential []byte, from caller.Caller) (Passkey, []string, error) {
	p, err := s.newPasskey(ctx, now, user, "", credential, ids.Place{})
	if err != nil {
		return Passkey{}, nil, err
	}
	with, err := s.newCodes(ctx, now, user, audit.FactorAdded, from)
	if err != nil {
		return Passkey{}, nil, err
	}
	err = s.o.Store.EstablishPasskey(ctx, p, with.stored, epoch, with.ev, with.letters...)
	if errors.Is(err, ErrTaken) {
		return Passkey{}, nil, bad(err)
	}
	if err != nil {
		return Passkey{}, nil, fmt.Errorf("establish a passkey: %w", err)
	}
	return p, with.shown, nil
}

// newPasskey returns the passkey that a page has made for a user at a place.
func (s *Service) newPasskey(ctx context.Context, now time.Time, user ids.User, name string, credential []byte, at ids.Place) (Passkey, error) {
	if err := checkName(name); err != nil {
		return Passkey{}, err
	}
	if !s.Offers(KindPasskey) {
		return Passkey{}, ErrNotOffered
	}
	said, err := protocol.ParseCredentialCreationResponseBytes(credential)
	if err != nil {
		return Passkey{}, bad(err)
	}
	client := &said.Response.CollectedClientData
	challenge, err := base64.RawURLEncoding.DecodeString(client.Challenge)
	if err != nil {
		return Passkey{}, bad(err)
	}
	message, ok := s.o.Seal.OpenToken(newPasskeyPrefix, newPasskeyPurpose, string(challenge))
	if !ok || len(message) != newPasskeySize || !bytes.Equal(message[24:], slices.Concat(user[:], at.Session[:], at.Login[:])) ||
		now.UnixMilli() >= int64(binary.BigEndian.Uint64(message[16:])) {
		return Passkey{}, bad(errors.New("the challenge is not this user's, or too old"))
	}
	session := webauthn.SessionData{
		Challenge: client.Challenge, RelyingPartyID: s.o.RelyingParty.ID, UserID: user[:],
		UserVerification: protocol.VerificationRequired, CredParams: webauthn.CredentialParametersRecommendedL3(),
	}
	party, err := s.partyOf(ctx, client.Origin)
	if err != nil {
		return Passkey{}, err
	}
	made, err := party.CreateCredential(&owner{id: user}, session, said)
	if err == nil {
		err = checkKey(made.PublicKey)
	}
	if err != nil {
		return Passkey{}, bad(err)
	}
	used, err := s.o.Throttle.Note(ctx, now, limits.Key("used challenge of a new passkey", string(message[:16])), challengeLife)
	if err == nil && used {
		err = bad(errors.New("the challenge was used"))
	}
	if err != nil {
		return Passkey{}, err
	}
	return Passkey{
		Factor:       Factor{ID: ids.New[ids.Factor](), UserID: user, Kind: KindPasskey, Name: name, CreatedAt: now, InForce: true},
		CredentialID: made.ID, PublicKey: made.PublicKey, SignCount: made.Authenticator.SignCount,
		BackupEligible: made.Flags.BackupEligible, BackedUp: made.Flags.BackupState, Transports: transports(made.Transport),
	}, nil
}

// checkKey refuses a key that an attacker could sign for, or that belongs to no key pair.
// Nothing has signed with it yet: with attestation none, the browser only says what the key is.
func checkKey(cose []byte) error {
	key, err := webauthncose.ParsePublicKey(cose)
	if err != nil {
		return err
	}
	r, ok := key.(webauthncose.RSAPublicKeyData)
	if !ok {
		return nil // of one size, and a point on its curve
	}
	e, err := webauthncose.ParseRSAPublicKeyDataExponent(&r)
	if err != nil {
		return err
	}
	n := new(big.Int).SetBytes(r.Modulus)
	if n.BitLen() < minRSA || n.BitLen() > maxRSA || n.Bit(0) == 0 || e < 3 || e%2 == 0 {
		return errors.New("a weak RSA key")
	}
	return nil
}

// The sizes in bits of RSA keys (RFC 8812 section 2). A larger one is slow to verify.
const (
	minRSA = 2048
	maxRSA = 8192
)

// transports returns those of a new passkey that the standard names.
func transports(said []protocol.AuthenticatorTransport) (known []string) {
	for _, t := range said {
		switch t {
		case protocol.USB, protocol.NFC, protocol.BLE, protocol.SmartCard, protocol.Hybrid, protocol.Internal:
			if !slices.Contains(known, string(t)) {
				known = append(known, string(t))
			}
		}
	}
	return known
}
