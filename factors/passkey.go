package factors

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"countersign/audit"
	"countersign/caller"
	"countersign/ids"
	"countersign/limits"
	"countersign/oauth"
)

// RelyingParty is whom passkeys are for (WebAuthn Level 3, section 4).
type RelyingParty struct {
	// ID is the domain name that passkeys are made for: the issuer's host. Empty: none are
	// taken.
	ID string
	// Takes reports whether pages of an origin may use them. The origin's host is the ID or
	// below it.
	Takes func(ctx context.Context, origin string) bool
}

// CheckRelyingParty returns why passkeys can't be made for a host, such as an IP address.
func CheckRelyingParty(host string) error {
	if err := protocol.ValidateRPID(host); err != nil {
		return fmt.Errorf("passkeys need a domain name: %w", err)
	}
	return nil
}

// Passkey is a key pair that a user's device signs challenges with, after it has verified
// that the user is there.
type Passkey struct {
	Factor
	CredentialID []byte
	PublicKey    []byte // COSE
	SignCount    uint32 // of its last use; 0 for devices that don't count
	// BackupEligible says that the key may be on several devices, and never changes; BackedUp
	// says that it is.
	BackupEligible bool
	BackedUp       bool
	Transports     []string // by which browsers reach it, such as "internal"
}

// Methods are what a user has proven who has used p: it, and the PIN or the finger that the
// device has asked for.
func (p *Passkey) Methods() oauth.Methods {
	key := oauth.MethodHardwareKey
	if p.BackupEligible {
		key = oauth.MethodSoftwareKey
	}
	return oauth.Methods{key, oauth.MethodPresence, oauth.MethodMultiple}
}

// UnknownPasskeyError is an ErrBadPasskey: there is no such passkey, or no more. It is what a
// page hands to PublicKeyCredential.signalUnknownCredential, so that the browser forgets it
// (WebAuthn Level 3, section 5.1.10).
type UnknownPasskeyError struct {
	RelyingParty string `json:"rpId"`
	Credential   string `json:"credentialId"` // base64url
}

func (e *UnknownPasskeyError) Error() string { return "no such passkey" }

// Is makes an UnknownPasskeyError an ErrBadPasskey.
func (e *UnknownPasskeyError) Is(target error) bool { return target == ErrBadPasskey }

// Regressed reports whether a counter that was at had can't be at is now, so that the key may
// have been copied (WebAuthn Level 3, section 6.1.1).
func Regressed(had, is uint32) bool { return (had > 0 || is > 0) && is <= had }

// TakesPasskeys reports whether users can have passkeys here.
func (s *Service) TakesPasskeys() bool { return s.o.RelyingParty.ID != "" }

// party returns the library's view of us, for pages of an origin.
func (s *Service) party(origin string) *webauthn.WebAuthn {
	required := protocol.VerificationRequired
	return &webauthn.WebAuthn{Config: &webauthn.Config{
		RPID: s.o.RelyingParty.ID, RPDisplayName: s.o.Issuer, RPOrigins: []string{origin},
		AttestationPreference: protocol.PreferNoAttestation,
		AuthenticatorSelection: protocol.AuthenticatorSelection{
			RequireResidentKey: protocol.ResidentKeyRequired(), ResidentKey: protocol.ResidentKeyRequirementRequired, UserVerification: required,
		},
		Timeouts: webauthn.TimeoutsConfig{
			Login: webauthn.TimeoutConfig{Timeout: challengeLife}, Registration: webauthn.TimeoutConfig{Timeout: challengeLife},
		},
		// Password managers answer extensions that we haven't asked for. Nothing rests on it.
		ExtensionsUnsolicitedOutputPolicy: protocol.UnsolicitedOutputPolicyIgnore,
	}}
}

// challengeLife is how long a user has to answer.
const challengeLife = 5 * time.Minute

// RequestOptions returns what a page hands to navigator.credentials.get, as WebAuthn JSON
// ("publicKey"). The passkey signs the text of the challenge. allowed are the user's; none
// lets the browser offer all that it has for us. ErrNoPasskeys.
func (s *Service) RequestOptions(challenge string, allowed []Passkey) (json.RawMessage, error) {
	if !s.TakesPasskeys() {
		return nil, ErrNoPasskeys
	}
	options, _, err := s.party(s.o.RelyingParty.ID).BeginDiscoverableLogin(webauthn.WithChallenge([]byte(challenge)), webauthn.WithAllowedCredentials(descriptors(allowed)))
	if err != nil {
		return nil, fmt.Errorf("make the options of a passkey: %w", err)
	}
	return json.Marshal(options.Response)
}

func descriptors(keys []Passkey) (list []protocol.CredentialDescriptor) {
	for _, p := range keys {
		list = append(list, credentialOf(&p).Descriptor())
	}
	return list
}

func credentialOf(p *Passkey) *webauthn.Credential {
	c := &webauthn.Credential{
		ID: p.CredentialID, PublicKey: p.PublicKey, AttestationFormat: string(protocol.AttestationFormatNone),
		Flags: webauthn.CredentialFlags{UserPresent: true, UserVerified: true, BackupEligible: p.BackupEligible, BackupState: p.BackedUp},
	}
	for _, t := range p.Transports {
		c.Transport = append(c.Transport, protocol.AuthenticatorTransport(t))
	}
	return c
}

// owner is a user, as the library asks for one.
type owner struct {
	id            ids.User
	name, display string
	keys          []Passkey
}

func (o *owner) WebAuthnID() []byte          { return o.id[:] }
func (o *owner) WebAuthnName() string        { return o.name }
func (o *owner) WebAuthnDisplayName() string { return o.display }
func (o *owner) WebAuthnCredentials() (list []webauthn.Credential) {
	for _, p := range o.keys {
		list = append(list, *credentialOf(&p))
	}
	return list
}

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
	codes, digests := newCodes(user)
	ev := event(audit.FactorAdded, now, user, from)
	letters, err := s.notices(ctx, &ev, from)
	if err != nil {
		return Passkey{}, nil, err
	}
	first, err := s.o.Store.AddPasskey(ctx, p, Codes{ids.New[ids.Factor](), digests}, at, ev, letters...)
	switch {
	case errors.Is(err, ErrTaken):
		return Passkey{}, nil, bad(err)
	case err != nil:
		return Passkey{}, nil, fmt.Errorf("add a passkey: %w", err)
	case !first:
		codes = nil
	}
	return p, codes, nil
}

// EstablishPasskey is Establish for a passkey that a page has made by CreationOptions without
// a place. ErrUnknown, ErrNotOffered, ErrBadPasskey.
func (s *Service) EstablishPasskey(ctx context.Context, now time.Time, user ids.User, epoch int64, credential []byte, from caller.Caller) (Passkey, []string, error) {
	p, err := s.newPasskey(ctx, now, user, "", credential, ids.Place{})
	if err != nil {
		return Passkey{}, nil, err
	}
	codes, digests := newCodes(user)
	ev := event(audit.FactorAdded, now, user, from)
	letters, err := s.notices(ctx, &ev, from)
	if err != nil {
		return Passkey{}, nil, err
	}
	err = s.o.Store.EstablishPasskey(ctx, p, Codes{ids.New[ids.Factor](), digests}, epoch, ev, letters...)
	if errors.Is(err, ErrTaken) {
		return Passkey{}, nil, bad(err)
	}
	if err != nil {
		return Passkey{}, nil, fmt.Errorf("establish a passkey: %w", err)
	}
	return p, codes, nil
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

// ProvePasskey checks what a page has got by RequestOptions, as WebAuthn JSON, and returns the
// passkey. If of is not zero, it must be that user's. The caller looks after the challenge:
// that it is this browser's, and used once. ErrNoPasskeys, ErrBadPasskey, which may come as an
// *UnknownPasskeyError.
func (s *Service) ProvePasskey(ctx context.Context, now time.Time, challenge string, credential []byte, of ids.User, from caller.Caller) (Passkey, error) {
	if !s.TakesPasskeys() {
		return Passkey{}, ErrNoPasskeys
	}
	said, err := protocol.ParseCredentialRequestResponseBytes(credential)
	if err != nil {
		return Passkey{}, bad(err)
	}
	party, err := s.partyOf(ctx, said.Response.CollectedClientData.Origin)
	if err != nil {
		return Passkey{}, err
	}
	unknown := &UnknownPasskeyError{RelyingParty: s.o.RelyingParty.ID, Credential: base64.RawURLEncoding.EncodeToString(said.RawID)}
	p, err := s.o.Store.PasskeyOf(ctx, said.RawID)
	if errors.Is(err, ErrUnknown) {
		return Passkey{}, unknown
	}
	if err != nil {
		return Passkey{}, err
	}
	if !of.IsZero() && p.UserID != of {
		return Passkey{}, bad(errors.New("the passkey is another user's"))
	}
	session := webauthn.SessionData{
		Challenge: base64.RawURLEncoding.EncodeToString([]byte(challenge)), RelyingPartyID: s.o.RelyingParty.ID,
		UserID: p.UserID[:], UserVerification: protocol.VerificationRequired,
	}
	if _, err := party.ValidateLogin(&owner{id: p.UserID, keys: []Passkey{p}}, session, said); err != nil {
		return Passkey{}, bad(err)
	}
	p.SignCount = said.Response.AuthenticatorData.Counter
	p.BackedUp = said.Response.AuthenticatorData.Flags.HasBackupState()
	regressed, err := s.o.Store.UsePasskey(ctx, p, now, event(audit.FactorCounterRegressed, now, p.UserID, from))
	switch {
	case errors.Is(err, ErrUnknown):
		return Passkey{}, unknown
	case err != nil:
		return Passkey{}, err
	case regressed && !p.BackupEligible: // the key is on one device, so the counter has no reason to go back
		return Passkey{}, bad(errors.New("the counter went back"))
	}
	return p, nil
}

// partyOf is party for the pages that have used a passkey. ErrBadPasskey for others' pages.
func (s *Service) partyOf(ctx context.Context, origin string) (*webauthn.WebAuthn, error) {
	u, err := url.Parse(origin)
	if err != nil || u.Hostname() != s.o.RelyingParty.ID && !strings.HasSuffix(u.Hostname(), "."+s.o.RelyingParty.ID) || !s.o.RelyingParty.Takes(ctx, origin) {
		return nil, bad(errors.New("pages of this origin may not use passkeys"))
	}
	return s.party(origin), nil
}

// bad is ErrBadPasskey with its cause, which no caller is told.
func bad(cause error) error { return fmt.Errorf("%w: %w", ErrBadPasskey, cause) }

// Accepted is what a page hands to PublicKeyCredential.signalAllAcceptedCredentials, so that
// the browser forgets passkeys that the user has removed (WebAuthn Level 3, section 5.1.10).
type Accepted struct {
	RelyingParty string   `json:"rpId"`
	User         string   `json:"userId"`                   // base64url
	Credentials  []string `json:"allAcceptedCredentialIds"` // base64url
}

// Accepted returns a user's passkeys for the browser, nil if this server takes none.
func (s *Service) Accepted(ctx context.Context, user ids.User) (*Accepted, error) {
	if !s.TakesPasskeys() {
		return nil, nil
	}
	in, err := s.o.Store.InForce(ctx, user)
	if err != nil {
		return nil, err
	}
	a := &Accepted{RelyingParty: s.o.RelyingParty.ID, User: base64.RawURLEncoding.EncodeToString(user[:]), Credentials: []string{}}
	for _, p := range in.Passkeys {
		a.Credentials = append(a.Credentials, base64.RawURLEncoding.EncodeToString(p.CredentialID))
	}
	return a, nil
}
