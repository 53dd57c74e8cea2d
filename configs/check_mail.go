package configs

import (
	"net/mail"
	"net/netip"
	"slices"
	"strings"

	"countersign/uris"
)

// checkMail reports settings with which mail can't be sent or its links don't work.
func (c *Config) checkMail(r *report) {
	m := c.SMTP
	if m.Host != "" && !uris.IsHost(m.Host) {
		r.add("smtp.host", "must be a host name or an IP address, not %s", quote(m.Host))
	}
	if from, err := mail.ParseAddress(m.From); m.From != "" && err != nil {
		r.add("smtp.from", "must be an e-mail address such as no-reply@example.com, not %s", quote(m.From))
	} else if err == nil && !uris.IsASCII(from.Address[:strings.LastIndexByte(from.Address, '@')]) {
		r.add("smtp.from", "must be ASCII before the @, because not every mail server takes other addresses, not %s", quote(m.From))
	}
	if m.Helo != "" && !validHelo(m.Helo) {
		r.add("smtp.helo", "must be a host name with a dot such as auth.example.com, localhost, or an IP address, not %s", quote(m.Helo))
	}
	if m.Host != "" && m.From == "" {
		r.add("smtp.host", "needs smtp.from: set it to the address that mail comes from, such as no-reply@example.com")
	}
	if !slices.Contains([]string{"", "starttls", "tls", "none"}, m.TLS) {
		r.add("smtp.tls", "must be starttls, tls or none, not %s", quote(m.TLS))
	}
	if m.TLS == "none" && m.Username != "" && m.Host != "" && !uris.IsLoopback(m.Host) {
		r.addPair([]string{"smtp.tls", "smtp.username"}, "none would send the password of %s in the clear to %s, which is not this machine: use starttls or tls",
			quote(m.Username), m.Host)
	}
	if (m.PasswordFile != "" || m.Password != "") && m.Username == "" {
		r.add("smtp.password_file", "needs smtp.username: set it to the user whose password it is")
	}
	if m.Username != "" && m.PasswordFile == "" && m.Password == "" {
		r.add("smtp.username", "needs smtp.password_file: set it to the file with the password of %s", quote(m.Username))
	}
	for _, l := range c.links() {
		if l.url != "" && !validLink(l.url) {
			r.add(l.key, "must be the https URL of a page of yours with {token} where the token goes, such as https://app.example.com/#token={token}, not %s", quote(l.url))
		}
	}
}

// validHelo reports whether EHLO can say that this server is s.
func validHelo(s string) bool {
	_, err := netip.ParseAddr(s)
	return err == nil || s == "localhost" || uris.IsHost(s) && strings.Contains(strings.TrimSuffix(s, "."), ".")
}

// link is the address of a page and the key that sets it.
type link struct{ key, url string }

func (c *Config) links() []link {
	return []link{{"links.reset_password", c.Links.ResetPassword}, {"links.verify_email", c.Links.VerifyEmail}}
}

// validLink reports whether s can lead a user to a page with a token.
func validLink(s string) bool {
	return uris.IsWebPage(strings.ReplaceAll(s, "{token}", "t")) && strings.Count(s, "{token}") == 1
}

// checkServeMail reports what serve lacks to send mail.
func (c *Config) checkServeMail(r *report) {
	if c.Dev {
		return // without a mail server, --dev prints the mail
	}
	if c.SMTP.Host == "" && c.Signup.RequireVerifiedEmail {
		r.add("signup.require_verified_email", "true needs mail: set smtp.host, or this to false")
	}
}
