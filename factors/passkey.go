package factors

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"countersign/audit"
	"countersign/caller"
	"countersign/ids"
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
