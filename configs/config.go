// Package configs reads Countersign's configuration: the Config type, which
// is also its manual, and Load, which fills it from defaults, a YAML file, the
// environment and flags, in rising precedence.
//
// Load is strict. It refuses unknown keys and reports all problems at once, each with
// the line or variable that it comes from.
//
// A key is added in one place, as a field of Config: the yaml tag names it
// (and so its environment variable), default gives its value when nothing sets
// it, dev its default under --dev, min and max its range. A key with an only
// tag can come from that source alone, and one marked unused is accepted but
// has no effect in this version. A list with a words tag is also read from one of these words
// alone. Where a package takes all keys of a section, the section is that package's type. Start at Config, then Load.
//
// A fixed default is in a tag, here or in the package whose type a section is. A default
// that depends on other keys is in setDefaults and setDerived. A key that is empty, or 0,
// by default means what the package that reads it makes of that: tokens takes the issuer
// for the audience, hashing the number of CPUs, mail the protection that fits the port,
// and the command our own pages for the links. The comment of the field says so.
//
// A rule that a package needs belongs to that package, which enforces it for every
// caller; check asks it and adds the place. The rules for names, addresses to listen on,
// trusted proxies, the cookies' domain and SameSite, mail and links are here alone.
package configs

import (
	"time"

	"countersign/accounts"
	"countersign/clients"
	"countersign/factors"
	"countersign/limits"
	"countersign/secrecy"
	"countersign/store/dsn"
	"countersign/theme"
	"countersign/tokens"
	"countersign/upstreams"
)

// Config is the whole configuration. Keys are dotted paths through it, such as
// tokens.access_ttl; the environment variable of that one is
// COUNTERSIGN_TOKENS_ACCESS_TTL. Durations are written as in 90s, 15m or 720h.
type Config struct {
	// Issuer is the URL that names this server in every token ("iss") and under
	// which clients reach it: https, no trailing slash, query or fragment; it may
	// have a path. No default: serve refuses to start without it. With --dev it
	// is http://localhost:PORT, of the port in Listen; where that port is 0,
	// Issuer stays empty for the caller to fill in once it listens.
	Issuer string `yaml:"issuer"`

	// ServiceName is shown to users on pages, and refused inside passwords. Default
	// Countersign.
	ServiceName string `yaml:"service_name" default:"Countersign"`

	// HomeURL is where users go on to who came to the server's own pages without an
	// application's request: from sign-in and sign-up, and by a link after a reset, a
	// confirmation and signing out. An https URL of a page of yours. Default empty: users
	// who sign in end at /me.
	HomeURL string `yaml:"home_url"`

	// Theme is how the hosted pages and the letters look.
	Theme theme.Settings `yaml:"theme"`

	// Profile tightens the protocol as a whole. rfc9700 disables what RFC 9700 advises
	// against: passwords given to applications (the password grant, and POST /session
	// with one), and authorization codes without PKCE. Default empty: each client's
	// settings decide.
	Profile string `yaml:"profile"`

	// Listen is the host:port to serve on; an empty host is every interface.
	// Default :8080, with --dev 127.0.0.1:8080.
	Listen string `yaml:"listen" default:":8080" dev:"127.0.0.1:8080"`

	// AdminListen is the host:port of what is for the operator: /metrics, which asks for no
	// key, so choose an address that only your own machines reach. Default empty: off.
	AdminListen string `yaml:"admin_listen"`
	// AdminHosts are the domain names by which callers may reach AdminListen, besides IP
	// addresses and names that no public DNS has: localhost, those without a dot, and those
	// below .internal, .local and the like. Any other name may be an attacker's, whose page
	// has led an operator's browser here. Default none.
	AdminHosts []string `yaml:"admin_hosts"`
	// AdminPProf adds Go's profiles at /debug/pprof there. They slow the server down a
	// little, and more while they are taken. Default false.
	AdminPProf bool `yaml:"admin_pprof" default:"false"`

	// IdleTimeout is how long a connection may stay open without a request. It must be
	// longer than a load balancer keeps its connections, usually a minute, or some requests
	// meet a connection that is just closing. Default 5m.
	IdleTimeout time.Duration `yaml:"idle_timeout" default:"5m" min:"1s"`

	// ShutdownDelay is how long the server goes on serving after it was told to
	// stop, while /readyz already answers 503. In that time a load balancer notices and
	// sends its requests elsewhere. Default 0s.
	ShutdownDelay time.Duration `yaml:"shutdown_delay" default:"0s" min:"0s"`

	// ShutdownTimeout is how long running requests may take to finish after
	// that. Default 10s.
	ShutdownTimeout time.Duration `yaml:"shutdown_timeout" default:"10s" min:"1ms"`

	Database struct {
		// URL says where everything is stored: sqlite:PATH, or
		// mysql://USER:PASSWORD@HOST:PORT/DATABASE for MySQL, MariaDB and databases
		// with their protocol. Several HOST:PORT, joined by commas, are tried in that
		// order; options of the driver follow a question mark. Write / ? % in user and
		// password as %2F %3F %25, and an IPv6 address in brackets, and ?socket=PATH
		// with the host localhost is a Unix socket. Default: the file countersign.db in
		// the data folder.
		URL string `yaml:"url"`
		// PasswordFile names the file, from the working directory if it is not
		// absolute, with the password of the mysql:// user, if the URL has none. A line
		// break at its end is ignored. Default empty: no password.
		PasswordFile string `yaml:"password_file"`
		// AutoMigrate lets serve bring the schema to this binary's version.
		// Default true; if false, run countersign migrate first.
		AutoMigrate bool `yaml:"auto_migrate" default:"true"`
		// Pool bounds the connections of each replica to a mysql:// database.
		Pool dsn.Pool `yaml:"pool"`
	} `yaml:"database"`

	// MasterKeyFile names the file, from the working directory if it is not
	// absolute, with the master key: 32 bytes in base64.
	// With several, one per line, the first seals and all open. Default:
	// master.key in the data folder if that exists; with --dev always that file.
	MasterKeyFile string `yaml:"master_key_file"`
	// MasterKey is the master key as text, which replaces the file. It comes from
	// COUNTERSIGN_MASTER_KEY only, because neither a configuration file nor a command
	// line keeps a secret. Default empty: MasterKeyFile is used.
	MasterKey secrecy.Text `yaml:"master_key" only:"env"`

	// TrustedProxies are the IP addresses and networks (CIDR) of reverse proxies
	// whose X-Forwarded-For the server trusts; it trusts no other header. Default none:
	// the peer's address is the caller's, in the log and in the guess budgets.
	TrustedProxies []string `yaml:"trusted_proxies"`

	CORS struct {
		// AllowedOrigins are the web origins of your own applications, whose scripts may
		// call every endpoint, with cookies, as those of first-party clients may. They are
		// as browsers send them: scheme://host[:port]; http only on loopback hosts, unless
		// the issuer is http. The port may be * on localhost and 127.0.0.1. Default none,
		// with --dev any port on localhost. See clients.Settings for other clients.
		AllowedOrigins []string `yaml:"allowed_origins" dev:"http://localhost:*,http://127.0.0.1:*"`
	} `yaml:"cors"`

	// Tokens are how long tokens live and who they are for.
	Tokens tokens.Settings `yaml:"tokens"`

	Keys struct {
		// Algorithms are the algorithms of the signing keys: ES256, RS256, PS256,
		// EdDSA. The first signs access tokens; ID tokens default to RS256, as OpenID
		// Connect requires. Default ES256, RS256.
		Algorithms []string `yaml:"algorithms" default:"ES256,RS256"`
		// RotationPeriod is how long a key signs before the next one takes over.
		// Default 720h (30 days).
		RotationPeriod time.Duration `yaml:"rotation_period" default:"720h"`
		// JWKSMaxAge is how long verifiers may cache the public keys
		// (Cache-Control: max-age), so a new key is published at least this long before
		// it signs. Default 15m.
		JWKSMaxAge time.Duration `yaml:"jwks_max_age" default:"15m"`
		// ClockSkew is how far the clocks of replicas and verifiers may differ. Default
		// 30s; 0 means that they agree.
		ClockSkew time.Duration `yaml:"clock_skew" default:"30s"`
	} `yaml:"keys"`

	Passwords struct {
		// MinLength is the fewest characters a new password may have, 8 to 256.
		// Default 8.
		MinLength int `yaml:"min_length" default:"8"`
		// Argon2 is the cost of hashing a password with Argon2id. Hashes made
		// at another cost stay valid and are renewed at the next sign-in.
		Argon2 struct {
			// Memory is the memory that one hash takes, such as 19MiB, at most 1GiB.
			// Default 19MiB.
			Memory ByteSize `yaml:"memory" default:"19MiB"`
			// Iterations is the number of passes over the memory, 1 to 64. Default 2.
			Iterations int `yaml:"iterations" default:"2"`
			// Parallelism is the number of lanes, 1 to 16. Default 1.
			Parallelism int `yaml:"parallelism" default:"1"`
		} `yaml:"argon2"`
		// MaxConcurrentHashes bounds how many hashes are computed at one time, and so
		// their memory. Passwords and client secrets have this many each. Default 0:
		// the number of CPUs.
		MaxConcurrentHashes int `yaml:"max_concurrent_hashes" default:"0"`
	} `yaml:"passwords"`

	Signup struct {
		// Enabled lets any visitor create an account. Default true; if false, only
		// the command line creates them.
		Enabled bool `yaml:"enabled" default:"true"`
		// RequireVerifiedEmail bars an account until its e-mail address is
		// proven, and stops sign-up from telling which addresses have accounts. Default
		// false; true needs SMTP.
		RequireVerifiedEmail bool `yaml:"require_verified_email" default:"false"`
		// Username and Email say whether a visitor who signs up gives these names:
		// required, optional or none. An account always has one of them, so none can't be
		// said of both. Default optional.
		Username string `yaml:"username" default:"optional"`
		Email    string `yaml:"email" default:"optional"`
	} `yaml:"signup"`

	// Notices are of what users get a letter besides changes of their account.
	Notices accounts.Notices `yaml:"notices"`

	// SessionCookie is about browser sign-in (/session).
	SessionCookie struct {
		// Client is the id of the client that the tokens belong to, which must be one
		// of ours (FirstParty). Default spa.
		Client string `yaml:"client" default:"spa"`
		// Domain is the Domain attribute of the access token's cookie: the issuer's host
		// or a parent domain, whose other hosts then get that cookie, too, and can plant
		// their own. All other cookies are this host's alone. Default empty: this one,
		// too, which is safer.
		Domain string `yaml:"domain"`
		// SameSite is the cookies' SameSite attribute: strict, lax, or none for
		// applications on another site. Default strict.
		SameSite string `yaml:"same_site" default:"strict"`
		// AccessCookie puts the access token in a cookie too, not in the body.
		// Default false.
		AccessCookie bool `yaml:"access_cookie" default:"false"`
	} `yaml:"session_cookie"`

	// Factors are what users prove besides the password, and who must.
	Factors factors.Settings `yaml:"factors"`

	// Throttle bounds guesses at passwords and client secrets.
	Throttle limits.Budgets `yaml:"throttle"`

	// SMTP is the server that takes outgoing mail.
	SMTP struct {
		// Host is its name or address. Default empty: the server sends no mail; with
		// --dev it prints mail.
		Host string `yaml:"host"`
		// Port is its port. Default 587.
		Port int `yaml:"port" default:"587" min:"1" max:"65535"`
		// TLS protects the connection: starttls begins in the clear and requires TLS,
		// tls is TLS from the start, none is for a server on the same machine (with a
		// username it must be one). Default empty: tls on port 465, none on localhost
		// without a username, else starttls.
		TLS string `yaml:"tls"`
		// Username authenticates the server there. Default empty: no authentication.
		Username string `yaml:"username"`
		// PasswordFile names the file, from the working directory if it is not
		// absolute, with the password. Default empty: none.
		PasswordFile string `yaml:"password_file"`
		// Password is the password as text, which replaces the file. It comes from
		// COUNTERSIGN_SMTP_PASSWORD only.
		Password secrecy.Text `yaml:"password" only:"env"`
		// From is the sender's address, such as no-reply@example.com or Example
		// <no-reply@example.com>. Required with Host.
		From string `yaml:"from"`
		// Helo is the name by which the server greets the mail server (EHLO): a host
		// name with a dot, which many mail servers insist on, localhost, or an IP
		// address. Default empty: the issuer's host.
		Helo string `yaml:"helo"`
	} `yaml:"smtp"`

	// Links are the addresses of your pages that mailed links lead to. {token} stands
	// for the token; put it after a #, so that the token appears in no log. Default:
	// the server's own pages, /reset#token={token} and /verify#token={token}; with
	// --dev the demo.
	Links struct {
		// ResetPassword is where a user sets a new password (POST
		// /account/password/reset).
		ResetPassword string `yaml:"reset_password"`
		// VerifyEmail is where a user proves an address (POST /account/email/verify).
		VerifyEmail string `yaml:"verify_email"`
	} `yaml:"links"`

	Audit struct {
		// Retention is how long security events are kept. Default 2160h (90 days).
		Retention time.Duration `yaml:"retention" default:"2160h" min:"1s"`
	} `yaml:"audit"`

	// Clients are the declared clients, written to the database at every start. A
	// client removed here stays in the database until countersign clients delete ID.
	// Default none; with --dev spa, postman and api, until the file has its own.
	Clients []Client `yaml:"clients" only:"file"`

	// Upstreams are other providers with whose accounts users may sign in ("Continue with
	// ..."). Default none. See docs/providers.md.
	Upstreams []Upstream `yaml:"upstreams" only:"file"`

	// Dev and Data come from Load's Source: whether --dev was on, and the data folder
	// (default ./countersign-data).
	Dev  bool   `yaml:"-"`
	Data string `yaml:"-"`

	// ServiceLinks are variables of the environment that begin as settings do, but that
	// Kubernetes has set for services. They have no effect.
	ServiceLinks []string `yaml:"-"`

	places places
}

// RFC9700 is the value of Profile that disables what RFC 9700 advises against.
const RFC9700 = "rfc9700"

// Client is a declared client: an application that asks for tokens.
type Client struct {
	// ID is its client_id, at most 64 characters of printable ASCII. Required.
	ID string `yaml:"id"`
	// SecretFile names the file with a confidential client's secret. Required
	// unless Public.
	SecretFile string `yaml:"secret_file"`
	// Settings are the other fields.
	clients.Settings `yaml:",inline"`
	// PKCEOptional has no effect: confidential clients need no PKCE unless RequirePKCE
	// says so. Files of former versions have it.
	PKCEOptional bool `yaml:"pkce_optional" unused:"true"`

	// Secret is the known secret of a --dev client, in place of a SecretFile.
	// Nothing else sets it.
	Secret secrecy.Text `yaml:"-"`
}

// Upstream is another provider with whose accounts users may sign in.
type Upstream struct {
	// Settings are all fields but the next.
	upstreams.Settings `yaml:",inline"`
	// ClientSecretFile names the file with the secret that the provider has given, from the
	// working directory if it is not absolute; at Apple the key that signs secrets (.p8).
	// Required with a preset; without it the client is a public one.
	ClientSecretFile string `yaml:"client_secret_file"`
}

// masked replaces a secret in all output.
const masked = "[secret]"
