package server_test

import (
	"context"
	"errors"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"countersign/accounts"
	"countersign/audit"
	"countersign/consents"
	"countersign/factors"
	"countersign/ids"
	"countersign/keys"
	"countersign/oauth"
	"countersign/server"
	"countersign/test/smtpd"
	"countersign/tokens"
	"countersign/upstreams"
)

// brittle is a store in which one write fails, once: before it is done, or after
// it, so that its caller doesn't know.
type brittle struct {
	server.Store

	mu     sync.Mutex
	write  string // which; empty when it has failed
	before bool
}

var errBroken = errors.New("the write broke")

func (b *brittle) breakNext(write string, before bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.write, b.before = write, before
}

// hasBroken reports whether the write was asked for, and failed.
func (b *brittle) hasBroken() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.write == ""
}

func (b *brittle) do(write string, work func() error) error {
	b.mu.Lock()
	broken, before := b.write == write, b.before
	if broken {
		b.write = ""
	}
	b.mu.Unlock()
	if broken && before {
		return errBroken
	}
	if err := work(); err != nil || !broken {
		return err
	}
	return errBroken
}

func (b *brittle) CreateUser(ctx context.Context, u accounts.User, ev audit.Event, letters ...accounts.Letter) error {
	return b.do("CreateUser", func() error { return b.Store.CreateUser(ctx, u, ev, letters...) })
}

func (b *brittle) SetPasswordHash(ctx context.Context, id ids.User, hash string, by accounts.By, now time.Time, ev audit.Event, letters ...accounts.Letter) error {
	return b.do("SetPasswordHash", func() error { return b.Store.SetPasswordHash(ctx, id, hash, by, now, ev, letters...) })
}

func (b *brittle) DeleteUser(ctx context.Context, id ids.User, by accounts.By, now time.Time, ev audit.Event) error {
	return b.do("DeleteUser", func() error { return b.Store.DeleteUser(ctx, id, by, now, ev) })
}

func (b *brittle) PutProfile(ctx context.Context, user ids.User, by accounts.By, p accounts.Profile, now time.Time, ev audit.Event) error {
	return b.do("PutProfile", func() error { return b.Store.PutProfile(ctx, user, by, p, now, ev) })
}

func (b *brittle) ProveSession(ctx context.Context, id ids.Session, epoch int64, methods oauth.Methods, now time.Time) error {
	return b.do("ProveSession", func() error { return b.Store.ProveSession(ctx, id, epoch, methods, now) })
}

func (b *brittle) PostLetter(ctx context.Context, l accounts.Letter, at ids.Place, with ...accounts.Letter) error {
	return b.do("PostLetter", func() error { return b.Store.PostLetter(ctx, l, at, with...) })
}

func (b *brittle) ConfirmEmail(ctx context.Context, id ids.Letter, now time.Time, ev audit.Event, letters ...accounts.Letter) error {
	return b.do("ConfirmEmail", func() error { return b.Store.ConfirmEmail(ctx, id, now, ev, letters...) })
}

func (b *brittle) ResetPassword(ctx context.Context, id ids.Letter, hash string, now time.Time, ev audit.Event, letters ...accounts.Letter) error {
	return b.do("ResetPassword", func() error { return b.Store.ResetPassword(ctx, id, hash, now, ev, letters...) })
}

func (b *brittle) AddTOTP(ctx context.Context, s factors.Secret, at ids.Place) error {
	return b.do("AddTOTP", func() error { return b.Store.AddTOTP(ctx, s, at) })
}

func (b *brittle) ConfirmTOTP(ctx context.Context, user ids.User, id ids.Factor, step int64, codes factors.Codes, now time.Time, at ids.Place, ev audit.Event, letters ...factors.Notice) (first bool, err error) {
	err = b.do("ConfirmTOTP", func() (err error) {
		first, err = b.Store.ConfirmTOTP(ctx, user, id, step, codes, now, at, ev, letters...)
		return err
	})
	return first, err
}

func (b *brittle) AddPasskey(ctx context.Context, p factors.Passkey, codes factors.Codes, at ids.Place, ev audit.Event, letters ...factors.Notice) (first bool, err error) {
	err = b.do("AddPasskey", func() (err error) {
		first, err = b.Store.AddPasskey(ctx, p, codes, at, ev, letters...)
		return err
	})
	return first, err
}

func (b *brittle) EstablishPasskey(ctx context.Context, p factors.Passkey, codes factors.Codes, epoch int64, ev audit.Event, letters ...factors.Notice) error {
	return b.do("EstablishPasskey", func() error { return b.Store.EstablishPasskey(ctx, p, codes, epoch, ev, letters...) })
}

func (b *brittle) UsePasskey(ctx context.Context, p factors.Passkey, now time.Time, ev audit.Event) (regressed bool, err error) {
	err = b.do("UsePasskey", func() (err error) {
		regressed, err = b.Store.UsePasskey(ctx, p, now, ev)
		return err
	})
	return regressed, err
}

func (b *brittle) RemovePassword(ctx context.Context, id ids.User, providers []string, by accounts.By, now time.Time, ev audit.Event, letters ...accounts.Letter) error {
	return b.do("RemovePassword", func() error { return b.Store.RemovePassword(ctx, id, providers, by, now, ev, letters...) })
}

func (b *brittle) EstablishTOTP(ctx context.Context, s factors.Secret, step int64, codes factors.Codes, epoch int64, now time.Time, ev audit.Event, letters ...factors.Notice) error {
	return b.do("EstablishTOTP", func() error { return b.Store.EstablishTOTP(ctx, s, step, codes, epoch, now, ev, letters...) })
}

func (b *brittle) SpendStep(ctx context.Context, user ids.User, id ids.Factor, step int64, now time.Time) error {
	return b.do("SpendStep", func() error { return b.Store.SpendStep(ctx, user, id, step, now) })
}

func (b *brittle) SpendCode(ctx context.Context, user ids.User, digest [32]byte, now time.Time, ev audit.Event, letters ...factors.Notice) error {
	return b.do("SpendCode", func() error { return b.Store.SpendCode(ctx, user, digest, now, ev, letters...) })
}

func (b *brittle) ReplaceCodes(ctx context.Context, user ids.User, codes factors.Codes, now time.Time, at ids.Place, ev audit.Event, letters ...factors.Notice) error {
	return b.do("ReplaceCodes", func() error { return b.Store.ReplaceCodes(ctx, user, codes, now, at, ev, letters...) })
}

func (b *brittle) RenameFactor(ctx context.Context, user ids.User, id ids.Factor, name string, now time.Time, at ids.Place) error {
	return b.do("RenameFactor", func() error { return b.Store.RenameFactor(ctx, user, id, name, now, at) })
}

func (b *brittle) RemoveFactor(ctx context.Context, user ids.User, id ids.Factor, must func([]string) bool, providers []string, now time.Time, at ids.Place, ev audit.Event, letters ...factors.Notice) error {
	return b.do("RemoveFactor", func() error { return b.Store.RemoveFactor(ctx, user, id, must, providers, now, at, ev, letters...) })
}

func (b *brittle) CreateLinkedUser(ctx context.Context, u accounts.User, p accounts.Profile, i accounts.Identity, created, linked audit.Event, letters ...accounts.Letter) error {
	return b.do("CreateLinkedUser", func() error { return b.Store.CreateLinkedUser(ctx, u, p, i, created, linked, letters...) })
}

func (b *brittle) LinkIdentity(ctx context.Context, i accounts.Identity, at ids.Place, ev audit.Event, letters ...accounts.Letter) error {
	return b.do("LinkIdentity", func() error { return b.Store.LinkIdentity(ctx, i, at, ev, letters...) })
}

func (b *brittle) UnlinkIdentity(ctx context.Context, user ids.User, id ids.Identity, providers []string, now time.Time, at ids.Place, ev audit.Event, letters ...accounts.Letter) error {
	return b.do("UnlinkIdentity", func() error { return b.Store.UnlinkIdentity(ctx, user, id, providers, now, at, ev, letters...) })
}

func (b *brittle) GiveConsent(ctx context.Context, c consents.Consent, ev audit.Event) error {
	return b.do("GiveConsent", func() error { return b.Store.GiveConsent(ctx, c, ev) })
}

func (b *brittle) DeleteConsent(ctx context.Context, user ids.User, client ids.Client, ev audit.Event) error {
	return b.do("DeleteConsent", func() error { return b.Store.DeleteConsent(ctx, user, client, ev) })
}

func (b *brittle) CreateCode(ctx context.Context, c tokens.Code, loginExpires, now time.Time) error {
	return b.do("CreateCode", func() error { return b.Store.CreateCode(ctx, c, loginExpires, now) })
}

func (b *brittle) RedeemCode(ctx context.Context, c tokens.Code, s tokens.Session, now time.Time, ev audit.Event) error {
	return b.do("RedeemCode", func() error { return b.Store.RedeemCode(ctx, c, s, now, ev) })
}

func (b *brittle) CreateLogin(ctx context.Context, l tokens.Login, ev audit.Event) error {
	return b.do("CreateLogin", func() error { return b.Store.CreateLogin(ctx, l, ev) })
}

func (b *brittle) ReplaceLogin(ctx context.Context, old ids.Login, l tokens.Login, now time.Time, ev audit.Event) error {
	return b.do("ReplaceLogin", func() error { return b.Store.ReplaceLogin(ctx, old, l, now, ev) })
}

func (b *brittle) EndLogin(ctx context.Context, id ids.Login, ev audit.Event) error {
	return b.do("EndLogin", func() error { return b.Store.EndLogin(ctx, id, ev) })
}

func (b *brittle) CreateSession(ctx context.Context, s tokens.Session, epoch int64, ev audit.Event) error {
	return b.do("CreateSession", func() error { return b.Store.CreateSession(ctx, s, epoch, ev) })
}

func (b *brittle) AdvanceSession(ctx context.Context, next tokens.Session, now time.Time) error {
	return b.do("AdvanceSession", func() error { return b.Store.AdvanceSession(ctx, next, now) })
}

func (b *brittle) EndSession(ctx context.Context, id ids.Session, ev audit.Event) error {
	return b.do("EndSession", func() error { return b.Store.EndSession(ctx, id, ev) })
}

func (b *brittle) EndSignIn(ctx context.Context, id ids.Session, ev audit.Event) error {
	return b.do("EndSignIn", func() error { return b.Store.EndSignIn(ctx, id, ev) })
}

func (b *brittle) EndUserSessions(ctx context.Context, user ids.User, keep ids.Place, ev audit.Event) (n int64, err error) {
	err = b.do("EndUserSessions", func() (err error) {
		n, err = b.Store.EndUserSessions(ctx, user, keep, ev)
		return err
	})
	return n, err
}

// acknowledged are the writes that an answer acknowledges. Each prepares a server on
// which alice has an account, and returns what asks for the write, and whether it has
// been done, nil where only the browser could tell.
var acknowledged = map[string]func(*app, *smtpd.Server) (ask func() *response, done func() bool){
	"CreateUser": func(a *app, _ *smtpd.Server) (func() *response, func() bool) {
		return func() *response {
				return a.post("/signup", `{"username":"carol","password":"`+password+`"}`)
			}, func() bool {
				_, err := a.Users.ByUsername(a.t.Context(), "carol")
				return err == nil
			}
	},
	"SetPasswordHash": func(a *app, _ *smtpd.Server) (func() *response, func() bool) {
		p := a.page()
		in := p.signIn("alice", password).want(http.StatusOK)
		return func() *response {
			return p.bearer(http.MethodPost, "/account/password", `{"current_password":"`+password+`","new_password":"another good password"}`, in)
		}, func() bool { return a.loginWith("alice", "another good password").Code == http.StatusOK }
	},
	"DeleteUser": func(a *app, _ *smtpd.Server) (func() *response, func() bool) {
		p := a.page()
		in := p.signIn("alice", password).want(http.StatusOK)
		return func() *response {
				return p.bearer(http.MethodDelete, "/account", `{"current_password":"`+password+`"}`, in)
			}, func() bool {
				_, err := a.Users.ByUsername(a.t.Context(), "alice")
				return err != nil
			}
	},
	"AddTOTP": func(a *app, _ *smtpd.Server) (func() *response, func() bool) {
		p := a.page()
		p.signIn("alice", password).want(http.StatusOK)
		return func() *response { return p.do(http.MethodPost, "/account/factors/totp", "") }, func() bool { return len(a.factorsOf()) == 1 }
	},
	"ConfirmTOTP": func(a *app, _ *smtpd.Server) (func() *response, func() bool) {
		p := a.page()
		p.signIn("alice", password).want(http.StatusOK)
		begun := p.do(http.MethodPost, "/account/factors/totp", "").want(http.StatusCreated)
		return func() *response {
			return p.do(http.MethodPost, "/account/factors/totp/"+begun.text("id")+"/confirm", `{"code":"`+appCode(a.t, begun.text("secret"))+`"}`)
		}, func() bool { return a.factorsOf()[0].InForce }
	},
	"EstablishPasskey": func(a *app, _ *smtpd.Server) (func() *response, func() bool) {
		a.options.Factors.Required = []string{"all"}
		a.restart()
		p := a.person()
		p.submit("/login", form("username", "alice", "password", password)).want(http.StatusSeeOther)
		return func() *response { return p.enrolPasskey(&device{key: newKey()}, p.open("/factor/enrol")) }, func() bool { return len(a.factorsOf()) == 2 }
	},
	"AddPasskey": func(a *app, _ *smtpd.Server) (func() *response, func() bool) {
		p := a.ownPage()
		p.signIn("alice", password).want(http.StatusOK)
		return func() *response {
			return p.addPasskey(&device{key: newKey()}, issuer)
		}, func() bool { return len(a.factorsOf()) > 0 }
	},
	"UsePasskey": func(a *app, _ *smtpd.Server) (func() *response, func() bool) {
		p := a.ownPage()
		p.signIn("alice", password).want(http.StatusOK)
		d, _ := p.newDevice(true)
		return func() *response { return a.ownPage().signInWith(d) }, func() bool { return !a.factorsOf()[0].LastUsedAt.IsZero() }
	},
	"RemovePassword": func(a *app, _ *smtpd.Server) (func() *response, func() bool) {
		p := a.page()
		a.givePasskey("alice", p.signIn("alice", password).want(http.StatusOK))
		return func() *response { return p.do(http.MethodDelete, "/account/password", "") }, func() bool {
			user, err := a.Users.ByUsername(a.t.Context(), "alice")
			return err == nil && user.PasswordHash == ""
		}
	},
	"EstablishTOTP": func(a *app, _ *smtpd.Server) (func() *response, func() bool) {
		a.options.Factors.Required = []string{"all"}
		a.restart()
		p := a.person()
		secret := p.dueToEnrol("alice")
		return func() *response { return p.submit("/factor/enrol", form("code", appCode(a.t, secret))) }, func() bool { return len(a.factorsOf()) == 2 }
	},
	"SpendStep": func(a *app, _ *smtpd.Server) (func() *response, func() bool) {
		_, secret, _ := a.factorFor("alice")
		q := a.page()
		challenge := q.challenged("alice")
		used := a.factorsOf()[0].LastUsedAt
		return func() *response { return q.answer(challenge, "totp", nextCode(a.t, secret)) }, func() bool { return a.factorsOf()[0].LastUsedAt.After(used) }
	},
	"SpendCode": func(a *app, _ *smtpd.Server) (func() *response, func() bool) {
		_, _, recovery := a.factorFor("alice")
		q := a.page()
		challenge := q.challenged("alice")
		return func() *response { return q.answer(challenge, "recovery_code", recovery[0]) }, func() bool { return a.factorsOf()[1].Remaining == 9 }
	},
	"ReplaceCodes": func(a *app, _ *smtpd.Server) (func() *response, func() bool) {
		p, _, _ := a.factorFor("alice")
		had := a.factorsOf()[1].ID
		return func() *response { return p.do(http.MethodPost, "/account/factors/recovery_codes", "") }, func() bool { return a.factorsOf()[1].ID != had }
	},
	"RenameFactor": func(a *app, _ *smtpd.Server) (func() *response, func() bool) {
		p, _, _ := a.factorFor("alice")
		f := a.factorsOf()[0]
		return func() *response {
			return p.do(http.MethodPatch, "/account/factors/"+f.ID.String(), `{"name":"tablet"}`)
		}, func() bool { return a.factorsOf()[0].Name == "tablet" }
	},
	"RemoveFactor": func(a *app, _ *smtpd.Server) (func() *response, func() bool) {
		p, _, _ := a.factorFor("alice")
		f := a.factorsOf()[0]
		return func() *response { return p.do(http.MethodDelete, "/account/factors/"+f.ID.String(), "") }, func() bool { return len(a.factorsOf()) == 0 }
	},
	"CreateLinkedUser": func(a *app, _ *smtpd.Server) (func() *response, func() bool) {
		p := newIDP(a.t.(*testing.T))
		p.tell(func(p *idp) { p.user["email"], p.user["email_verified"] = "carol@example.net", true })
		a.options.Dev, a.options.Upstreams = true, []upstreams.Declared{p.provide("a")}
		a.restart()
		q := a.person()
		return func() *response { return q.with("a") }, func() bool {
			_, err := a.Users.ByEmail(a.t.Context(), "carol@example.net")
			return err == nil
		}
	},
	"LinkIdentity": func(a *app, _ *smtpd.Server) (func() *response, func() bool) {
		p := newIDP(a.t.(*testing.T))
		a.options.Dev, a.options.Upstreams = true, []upstreams.Declared{p.provide("a")}
		a.restart()
		q := a.person()
		q.submit("/login", form("username", "alice", "password", password)).want(http.StatusSeeOther)
		return func() *response { return q.back(q.act("/me/security", "link-a")) }, func() bool { return a.identitiesOf() == 1 }
	},
	"UnlinkIdentity": func(a *app, _ *smtpd.Server) (func() *response, func() bool) {
		p := newIDP(a.t.(*testing.T))
		a.options.Dev, a.options.Upstreams = true, []upstreams.Declared{p.provide("a")}
		a.restart()
		q := a.person()
		q.submit("/login", form("username", "alice", "password", password)).want(http.StatusSeeOther)
		q.back(q.act("/me/security", "link-a")).want(http.StatusSeeOther)
		f := q.open("/me/security").page(unlinkForm.FindStringSubmatch(q.open("/me/security").Body.String())[1])
		return func() *response { return q.submit("/me/security", f) }, func() bool { return a.identitiesOf() == 0 }
	},
	"PutProfile": func(a *app, _ *smtpd.Server) (func() *response, func() bool) {
		in := a.login("alice")
		return func() *response { return a.putProfile(in, `{"name":"Alice Liddell"}`) },
			func() bool { return strings.Contains(a.profile(in).want(http.StatusOK).Body.String(), "Liddell") }
	},
	"ProveSession": func(a *app, _ *smtpd.Server) (func() *response, func() bool) {
		in := a.login("alice")
		ask := func(path, body string) *response {
			return a.post(path, body, "Authorization", "Bearer "+in.text("access_token"))
		}
		return func() *response { return ask("/account/proof", `{"current_password":"`+password+`"}`) },
			func() bool { // a proven session may ask for what it then gets wrong
				return ask("/account/email", `{"email":"wrong"}`).Code != http.StatusForbidden
			}
	},
	"PostLetter": func(a *app, _ *smtpd.Server) (func() *response, func() bool) {
		p := a.page()
		in := p.signIn("alice", password).want(http.StatusOK)
		return func() *response {
			return p.bearer(http.MethodPost, "/account/email", `{"current_password":"`+password+`","email":"new@example.net"}`, in)
		}, func() bool { return a.writesTo("new@example.net") }
	},
	"ConfirmEmail": func(a *app, post *smtpd.Server) (func() *response, func() bool) {
		a.run()
		p, mailed := a.page(), token(a.t, post.Wait(1)[0])
		return func() *response { return p.verify(mailed) }, func() bool {
			user, err := a.Users.ByUsername(a.t.Context(), "alice")
			return err == nil && user.EmailVerified
		}
	},
	"ResetPassword": func(a *app, post *smtpd.Server) (func() *response, func() bool) {
		p := a.page()
		p.forgot("alice@example.net").want(http.StatusAccepted)
		a.run()
		letters := post.Wait(2) // in any order
		mailed := token(a.t, letters[slices.IndexFunc(letters, func(l smtpd.Letter) bool { return l.Subject == "Set a new password" })])
		return func() *response { return p.reset(mailed, "another good password") },
			func() bool { return a.loginWith("alice", "another good password").Code == http.StatusOK }
	},
	"GiveConsent": func(a *app, _ *smtpd.Server) (func() *response, func() bool) {
		p := a.person()
		p.signIn(p.authorize(authorization("spa")), "alice").code(spaCallback)
		f := p.authorize(authorization("rp")).page("consent-form")
		f.Set("decision", "allow")
		return func() *response { return p.follow(p.submit("/consent", f)) },
			func() bool {
				return p.authorize(authorization("rp", "prompt", "none")).Header().Get("Location") != "" && a.consented("alice")
			}
	},
	"DeleteConsent": func(a *app, _ *smtpd.Server) (func() *response, func() bool) {
		p := a.person()
		mine := a.exchange(p.signIn(p.authorize(authorization("spa", "scope", ownScope)), "alice").code(spaCallback)).want(http.StatusOK)
		f := p.authorize(authorization("rp")).page("consent-form")
		f.Set("decision", "allow")
		p.follow(p.submit("/consent", f)).code(rpCallback)
		return func() *response {
			return a.do(http.MethodDelete, "/account/consents/rp", "", "Authorization", "Bearer "+mine.text("access_token"))
		}, func() bool { return !a.consented("alice") }
	},
	"CreateCode": func(a *app, _ *smtpd.Server) (func() *response, func() bool) {
		p := a.person()
		p.signIn(p.authorize(authorization("spa")), "alice").code(spaCallback)
		return func() *response { return p.authorize(authorization("spa", "prompt", "none")) }, nil
	},
	"RedeemCode": func(a *app, _ *smtpd.Server) (func() *response, func() bool) {
		p := a.person()
		code := p.signIn(p.authorize(authorization("spa")), "alice").code(spaCallback)
		return func() *response { return a.exchange(code) }, func() bool { return a.sessionsOf("alice") == 1 }
	},
	"CreateLogin": func(a *app, _ *smtpd.Server) (func() *response, func() bool) {
		p := a.person()
		login := p.authorize(authorization("spa"))
		return func() *response { return p.signIn(login, "alice") }, nil
	},
	"ReplaceLogin": func(a *app, _ *smtpd.Server) (func() *response, func() bool) {
		p := a.person()
		p.signIn(p.authorize(authorization("spa")), "alice").code(spaCallback)
		time.Sleep(5 * time.Millisecond) // who has just signed in isn't asked again
		login := p.authorize(authorization("spa", "prompt", "login"))
		return func() *response { return p.signIn(login, "alice") }, nil
	},
	"EndLogin": func(a *app, _ *smtpd.Server) (func() *response, func() bool) {
		p := a.person()
		p.signIn(p.authorize(authorization("spa")), "alice").code(spaCallback)
		f := p.follow(p.open("/oauth/logout")).page("logout-form")
		return func() *response { return p.submit("/logout", f) }, nil
	},
	"CreateSession": func(a *app, _ *smtpd.Server) (func() *response, func() bool) {
		return func() *response { return a.token(passwordForm("alice")) }, func() bool { return a.sessionsOf("alice") == 1 }
	},
	"AdvanceSession": func(a *app, _ *smtpd.Server) (func() *response, func() bool) {
		token := a.login("alice").text("refresh_token")
		return func() *response { return a.refresh(token) }, func() bool {
			user, err := a.Users.ByUsername(a.t.Context(), "alice")
			if err != nil {
				a.t.Fatal(err)
			}
			all, err := a.db.UserSessions(a.t.Context(), user.ID, time.Now(), ids.Session{}, 1000)
			return err == nil && len(all) == 1 && all[0].Counter == 1
		}
	},
	"EndSession": func(a *app, _ *smtpd.Server) (func() *response, func() bool) {
		token := a.login("alice").text("refresh_token")
		return func() *response { return a.revokeForm(form("client_id", "spa", "token", token)) }, func() bool { return a.sessionsOf("alice") == 0 }
	},
	"EndSignIn": func(a *app, _ *smtpd.Server) (func() *response, func() bool) {
		p := a.page()
		p.signIn("alice", password).want(http.StatusOK)
		return func() *response { return p.do(http.MethodDelete, "/session", "") }, func() bool { return a.sessionsOf("alice") == 0 }
	},
	"EndUserSessions": func(a *app, _ *smtpd.Server) (func() *response, func() bool) {
		p := a.page()
		a.page().signIn("alice", password).want(http.StatusOK)
		in := p.signIn("alice", password).want(http.StatusOK)
		return func() *response { return p.bearer(http.MethodDelete, "/account/sessions", "", in) },
			func() bool { return a.sessionsOf("alice") == 1 }
	},
}

// identitiesOf returns how many identities alice has.
func (a *app) identitiesOf() int {
	a.t.Helper()
	user, err := a.Users.ByUsername(a.t.Context(), "alice")
	if err != nil {
		a.t.Fatal(err)
	}
	all, err := a.db.Identities(a.t.Context(), user.ID)
	if err != nil {
		a.t.Fatal(err)
	}
	return len(all)
}

// factorsOf returns alice's factors, those not in force included.
func (a *app) factorsOf() []factors.Factor {
	a.t.Helper()
	user, err := a.Users.ByUsername(a.t.Context(), "alice")
	if err != nil {
		a.t.Fatal(err)
	}
	all, err := a.db.Factors(a.t.Context(), user.ID)
	if err != nil {
		a.t.Fatal(err)
	}
	return all
}

// notAcknowledged are the methods of a store that no answer of the server acknowledges,
// by why.
var notAcknowledged = map[string][]string{
	"it reads": {
		"Claimants", "Client", "Clients", "Code", "Consent", "Consents", "CountLetters", "CountSessions", "DueLetters", "Events", "Factors", "Failures", "FormerlySealed", "Identities", "InForce", "Letter", "Login", "Origins", "OtherWayIn", "PasskeyOf", "Pending", "Ping", "Profile", "SearchUsers",
		"Session", "UnclaimedUser", "UsedLetter", "User", "UserByEmail", "UserByIdentity", "UserByUsername", "UserLogins", "UserSessions", "Users",
	},
	"it cleans up, and will again": {
		"PurgeCodes", "PurgeEvents", "PurgeFailures", "PurgeLetters", "PurgeLogins", "PurgeSessions", "Reseal", "TakeTurn",
	},
	"it is a letter's way, which is tried again":      {"ClaimLetter", "LetterDone", "LetterFailed"},
	"it is a budget's, which stands where it stood":   {"ClearFailures", "RecordFailure", "RecordSpread"},
	"it helps the next sign-in, and this one goes on": {"UpgradePasswordHash", "ForgetLogin"},
	"it is the operator's, who sees the error of the store": {
		"ChangeClient", "ChangeRoles", "CreateClient", "DeleteClient", "DisableUser", "EnableUser", "ProveEmail", "PutClient", "ResetFactors", "SetEmail", "SetSecretHash", "UnlockUser",
	},
}

// Every method of the store is in one of the tables.
func TestEveryWriteIsAcknowledgedOrNot(t *testing.T) {
	var named []string
	for name := range acknowledged {
		named = append(named, name)
	}
	for _, names := range notAcknowledged {
		named = append(named, names...)
	}
	of := reflect.TypeFor[server.Store]()
	for method := range of.Methods() {
		i := slices.Index(named, method.Name)
		if i < 0 {
			t.Errorf("%s is new: does an answer acknowledge it?", method.Name)
			continue
		}
		named = slices.Delete(named, i, i+1)
	}
	for _, name := range named {
		t.Errorf("%s is named twice, or is no method of the store", name)
	}
}

// What could not be written, or may not have been, is not acknowledged; and what has
// not been written can be asked for again.
func TestNoAnswerAcknowledgesAWriteThatBroke(t *testing.T) {
	for write, prepare := range acknowledged {
		for when, before := range map[string]bool{"before": true, "after": false} {
			t.Run(write+"/"+when, func(t *testing.T) {
				broken, post := &brittle{}, smtpd.Start(t)
				a := newApp(t, withOptions(withMail(post)), func(o *server.Options, _ *keys.Options) {
					broken.Store, o.Store = o.Store, broken
				})
				a.signup("alice")
				ask, done := prepare(a, post)
				broken.breakNext(write, before)
				r := ask()
				if !broken.hasBroken() {
					t.Fatalf("it was not asked for: %d %s", r.Code, r.Body)
				}
				if acknowledges(r) {
					t.Errorf("the answer is %d %v %s", r.Code, r.Header(), r.Body)
				}
				if done != nil && done() == before {
					t.Errorf("it is done: %v", !before)
				}
				if before {
					if r := ask(); !acknowledges(r) {
						t.Errorf("asked for again: %d %v %s", r.Code, r.Header(), r.Body)
					}
					if done != nil && !done() {
						t.Error("asked for again, it is not done")
					}
				}
			})
		}
	}
}

// acknowledges reports whether an answer says that something has been done.
func acknowledges(r *response) bool {
	return r.Code < 400 && !strings.Contains(r.Header().Get("Location"), "error=")
}

// writesTo reports whether a letter to an address is to be delivered.
func (a *app) writesTo(address string) bool {
	a.t.Helper()
	due, err := a.db.DueLetters(a.t.Context(), time.Now().Add(time.Second), 100)
	if err != nil {
		a.t.Fatal(err)
	}
	return slices.ContainsFunc(due, func(l accounts.Letter) bool { return l.Address == address })
}

// consented reports whether a user lets the client rp have something.
func (a *app) consented(username string) bool {
	a.t.Helper()
	user, err := a.Users.ByUsername(a.t.Context(), username)
	if err != nil {
		a.t.Fatal(err)
	}
	all, err := a.db.Consents(a.t.Context(), user.ID)
	if err != nil {
		a.t.Fatal(err)
	}
	return len(all) > 0
}
