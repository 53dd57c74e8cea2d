package pages

import (
	"cmp"
	"html/template"
	"slices"
	"strings"
	"time"
)

// The pages of a user's own account. Their Data has Own.
const (
	Me         Name = "me"
	MeSecurity Name = "me_security"
	MeSessions Name = "me_sessions"
	MeApps     Name = "me_apps"
	MeData     Name = "me_data"
	MeFactors  Name = "me_factors" // below MeSecurity
)

// mePages are these pages in the order of their navigation.
var mePages = []struct {
	name  Name
	path  string
	below Name // the entry of the navigation that leads there; empty: its own
}{
	{Me, "/me", ""}, {MeSecurity, "/me/security", ""}, {MeFactors, "/me/factors", MeSecurity}, {MeSessions, "/me/sessions", ""},
	{MeApps, "/me/apps", ""}, {MeData, "/me/data", ""},
}

// MePath returns the path of a page of a user's own account, and whether it is one.
func MePath(page Name) (path string, ok bool) {
	for _, p := range mePages {
		if p.name == page {
			return p.path, true
		}
	}
	return "", false
}

// MePaths returns the paths of all of these pages.
func MePaths() (all []string) {
	for _, p := range mePages {
		all = append(all, p.path)
	}
	return all
}

// Own is what the pages of a user's own account show.
type Own struct {
	Notice   string // code of what has just been done, see words_me.go; empty: nothing
	Mail     bool   // the server sends mail
	ProofDue bool   // a change that needs a proof needs the password

	Address  string // e-mail address; empty: none
	Verified bool   // the user has proven it
	Profile  map[string]string
	Password bool // the account has one
	// OtherWayIn says that the user can sign in without it.
	OtherWayIn bool

	Acts     []Act
	Browsers []Signed
	Sessions []Signed
	Later    bool   // this isn't the first page of sessions
	Next     string // names the next page of sessions; empty: there is none
	Apps     []App

	Identities  []OwnIdentity
	Linkable    []Provider // that the user can link
	SignInAgain bool       // the user has to prove anew who it is, at /login or with Again: there is no password, or it is not enough
	Again       []Provider // with which the user proves anew who it is, who has no password

	Factors       []OwnFactor
	MayAdd        bool       // MeFactors: users may set up authenticator apps
	MayAddPasskey bool       // MeFactors: and passkeys
	Asked         string     // MeFactors, MeSecurity: what the one form does; empty: there is the whole page
	Factor        string     // MeFactors: the id of the factor that the form is about
	Identity      string     // MeSecurity: the id of the identity, or of the provider
	Enrolment     *Enrolment // MeFactors: of an authenticator app that isn't in force yet
	Codes         []string   // MeFactors: new recovery codes

	Account string // names the account in each form, see handlers.Me
}

// An Act is something that happened to the account.
type Act struct {
	Kind    string // see words_me.go
	At      time.Time
	Client  string // name of the application
	Device  string // label of the browser; empty: not known
	Address string // of the network; empty: the operator
	Here    bool   // in this browser
}

// Signed is where a user is signed in: a browser, or a session at an application.
type Signed struct {
	ID     string
	Client string // name of the application; empty: a browser
	Device string // label of the browser; empty: not known
	Begun  time.Time
	Used   time.Time // zero: not known
	Here   bool      // in this browser
}

// OwnIdentity is an account at another provider that opens the account.
type OwnIdentity struct {
	ID       string
	Provider string // name
	Email    string // empty: not known
	Since    time.Time
}

// OwnFactor is a second factor that is in force.
type OwnFactor struct {
	ID      string
	Name    string // of an app; empty: it has none
	Codes   bool   // it is the recovery codes
	Passkey bool   // it is a passkey
	Left    int    // how many of them are left
	Since   time.Time
	Used    time.Time // zero: never
}

// Enrolment is what an authenticator app needs.
//
// Without a Secret, the user has seen it before.
type Enrolment struct{ ID, Secret, URI string }

// QR returns the address of an Enrolment as a QR code.
func (v view) QR(e *Enrolment) (template.HTML, error) {
	label, err := v.Say("factors.qr")
	if err != nil {
		return "", err
	}
	return QR(e.URI, label)
}

// An App is an application that a user lets have something.
type App struct {
	ID, Name string
	Scopes   []string
	Since    time.Time
}

// groups are the groups of fields of each page of the account. Each has a form, or a part of
// one.
var groups = map[Name][]Name{
	Me:         {"me_email", "me_names", "me_more", "me_address"},
	MeSecurity: {"me_password"},
	MeData:     {"me_delete"},
	MeFactors:  {"me_code", "me_passkey", "me_proof"},
}

var currentPassword = field{Name: "current_password", Complete: "current-password", Label: "me.current_password"}

// ownFields are the fields of the groups.
var ownFields = map[Name][]field{
	"me_email": {{Name: "email", Complete: "email", Label: "me.new_email"}, currentPassword},
	"me_names": {
		{Name: "name", Complete: "name", Free: true},
		{Name: "given_name", Complete: "given-name", Free: true},
		{Name: "family_name", Complete: "family-name", Free: true},
		{Name: "nickname", Complete: "nickname", Free: true},
		{Name: "phone_number", Complete: "tel", Keyboard: "tel", Free: true, Hint: "profile.phone_number_hint"},
	},
	"me_more": {
		{Name: "middle_name", Complete: "additional-name", Free: true},
		{Name: "birthdate", Complete: "bday", Free: true, Hint: "profile.birthdate_hint"},
		{Name: "gender", Complete: "sex", Free: true},
		{Name: "picture", Complete: "photo", Keyboard: "url", Free: true, Hint: "profile.picture_hint"},
		{Name: "profile", Complete: "off", Keyboard: "url", Free: true, Hint: "profile.profile_hint"},
		{Name: "website", Complete: "url", Keyboard: "url", Free: true},
		{Name: "locale", Complete: "language", Free: true, Hint: "profile.locale_hint"},
		{Name: "zoneinfo", Complete: "off", Free: true, Hint: "profile.zoneinfo_hint"},
	},
	"me_address": {
		{Name: "address.street_address", Complete: "street-address", Free: true, Lines: true},
		{Name: "address.postal_code", Complete: "postal-code", Free: true},
		{Name: "address.locality", Complete: "address-level2", Free: true},
		{Name: "address.region", Complete: "address-level1", Free: true},
		{Name: "address.country", Complete: "country-name", Free: true},
		{Name: "address.formatted", Complete: "off", Free: true, Lines: true, Hint: "profile.address.formatted_hint"},
	},
	"me_password": {
		currentPassword,
		{Name: "new_password", Complete: newPassword, Label: "reset.password", Hint: "signup.password_hint"},
	},
	"me_delete": {currentPassword},
	"me_code": {
		{Name: "code", Complete: "one-time-code", Label: "factor.code", Hint: "factor.code_hint", Keyboard: "numeric"},
		currentPassword,
	},
	"me_passkey": {
		{Name: "name", Complete: "off", Label: "factors.name", Hint: "factors.name_hint", Free: true},
		currentPassword,
	},
	"me_proof": {currentPassword},
}

// Group returns the page with the fields of one group alone.
func (v view) Group(name string) view {
	v.group = Name(name)
	return v
}

// ownInputs returns the fields of the group, or of the whole page, filled in. The first one
// that is wrong gets the focus.
func (v view) ownInputs() (all []field) {
	focused := false
	for _, group := range v.groups() {
		for _, f := range ownFields[group] {
			switch {
			case v.Page == MeSecurity && group == "me_password" && !v.Own.Password:
				continue
			case group != "me_password" && !v.Own.ProofDue && f.Name == currentPassword.Name:
				continue
			}
			f.Label = cmp.Or(f.Label, "profile."+f.Name)
			if f.Name == "email" {
				f.Value, f.Keyboard = v.Email, "email"
			} else {
				f.Value = v.Own.Profile[f.Name]
			}
			v.describe(&f)
			f.Focus = f.Wrong != "" && !focused
			focused = focused || f.Focus
			if v.group == "" || v.group == group {
				all = append(all, f)
			}
		}
	}
	return all
}

// groups returns the groups of fields that the page shows.
func (v view) groups() []Name {
	if v.Page == MeSecurity && v.Own.Asked != "" {
		return []Name{"me_proof"}
	}
	return groups[v.Page]
}

// Open reports whether a part of the page that is folded up shows its fields: where one is
// wrong.
func (v view) Open(group string) bool {
	return slices.ContainsFunc(v.Group(group).ownInputs(), func(f field) bool { return f.Wrong != "" })
}

// A section is an entry of the navigation of the account's pages.
type section struct {
	Label, URL string // the label is a key
	Current    bool
}

// Sections returns the navigation of the account's pages, empty on others.
func (v view) Sections() (all []section) {
	if v.Own == nil {
		return nil
	}
	for _, p := range mePages {
		if p.below == "" {
			all = append(all, section{string(p.name) + ".short", v.Base() + p.path, p.name == v.Page})
		} else if p.name == v.Page {
			i := slices.IndexFunc(all, func(s section) bool { return s.Label == string(p.below)+".short" })
			all[i].Current = true
		}
	}
	return all
}

// Path returns the path of the page of the account, to which its forms go.
func (v view) Path() string {
	path, _ := MePath(v.Page)
	return v.Base() + path
}

// Below returns the path of the page of the account below the issuer.
func (v view) Below() string {
	path, _ := MePath(v.Page)
	return path
}

// Guarded reports whether the page of the account has a button that acts without a typed
// secret.
func (v view) Guarded() bool {
	if len(v.Own.Again) > 0 {
		return true
	}
	switch v.Page {
	case Me:
		return v.Resends()
	case MeApps:
		return len(v.Own.Apps) > 0
	case MeFactors:
		return v.Own.Asked != "" && !v.Own.ProofDue && v.Own.Enrolment == nil && v.Own.Codes == nil
	case MeSecurity:
		return !v.Own.ProofDue && (v.Own.Asked != "" || len(v.Own.Identities)+len(v.Own.Linkable) > 0)
	default:
		return true
	}
}

// Resends reports whether the page can send the link again that proves the address.
func (v view) Resends() bool { return v.Own.Mail && v.Own.Address != "" && !v.Own.Verified }

// Noticed returns the sentence that says what has just been done, empty for nothing.
func (v view) Noticed() (string, error) {
	if _, there := words["notice."+v.Own.Notice]; !there {
		return "", nil
	}
	return v.Say("notice." + v.Own.Notice)
}

// A moment is a point in time, for readers and for programs.
type moment struct{ Text, ISO string }

// When returns a time in words. We don't know the reader's zone, so it is in UTC.
func (v view) When(at time.Time) moment {
	layout := "2 January 2006, 15:04 MST"
	if v.Language == "ko" {
		layout = "2006년 1월 2일 15:04 (MST)"
	}
	return moment{at.UTC().Format(layout), at.UTC().Format(time.RFC3339)}
}

// Device returns the label of a browser in words.
func (v view) Device(label string) (string, error) {
	name, system, both := strings.Cut(label, " on ")
	switch {
	case label == "":
		return v.Say("device.unknown")
	case both && v.Language == "ko":
		return system + "의 " + name, nil
	default:
		return label, nil
	}
}

// A doing is what a form does, and to which account.
type doing struct{ Do, Account string }

// Doing returns what a form of the page does.
func (v view) Doing(what string) doing { return doing{what, v.Own.Account} }

// An ending is the form that ends a Signed.
type ending struct {
	doing
	Path, ID, Text, Label string
}

// Ending returns the form that ends s, which is a "login" or a "session".
func (v view) Ending(s Signed, kind string) (e ending, err error) {
	d := *v.Data
	d.Client = s.Client
	if d.Client == "" {
		if d.Client, err = v.Device(s.Device); err != nil {
			return e, err
		}
	}
	v.Data = &d
	e = ending{doing: v.Doing("end_" + kind), Path: v.Path(), ID: s.ID}
	if e.Text, err = v.Say("sessions.end"); err == nil {
		e.Label, err = v.Say("sessions.end_of")
	}
	return e, err
}

// Told returns the sentence about an Act.
func (v view) Told(a Act) ([]part, error) {
	d := *v.Data
	d.Client = a.Client
	v.Data = &d
	return v.Parts("act." + a.Kind)
}

// May returns what an application may do.
func (v view) May(a App) ([]scope, error) {
	d := *v.Data
	d.Scopes = a.Scopes
	v.Data = &d
	return v.Wishes()
}
