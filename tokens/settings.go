package tokens

import (
	"time"

	"countersign/input"
	"countersign/oauth"
)

// Settings are the rules that tokens are issued by. They are the section tokens of the
// configuration, which reads the defaults from the tags; New has none, except for
// Audience.
type Settings struct {
	// AccessTTL is how long access and ID tokens are valid. Default 10m.
	AccessTTL time.Duration `yaml:"access_ttl" default:"10m"`
	// RefreshIdleTTL ends a session that was not refreshed for this long. Default 720h
	// (30 days); at most RefreshAbsoluteTTL.
	RefreshIdleTTL time.Duration `yaml:"refresh_idle_ttl" default:"720h"`
	// RefreshAbsoluteTTL ends a session this long after the sign-in, even if it is in
	// use. Default 4320h (180 days).
	RefreshAbsoluteTTL time.Duration `yaml:"refresh_absolute_ttl" default:"4320h"`
	// RefreshReplayWindow is how long a client may present a used refresh token again,
	// as after a lost response or from a second tab, and get the current one. A later
	// use counts as theft and ends the session. Default 60s; 0 is strict: every second
	// use counts as theft. Less than RefreshIdleTTL.
	RefreshReplayWindow time.Duration `yaml:"refresh_replay_window" default:"60s"`
	// Audience is the "aud" of access tokens of our own applications that name no
	// audience of their own; no other client gets it. Default empty: the issuer.
	Audience []string `yaml:"audience"`
}

const leastTTL = time.Second

// Check returns all that is wrong with the settings, an *input.Error, or nil.
func (s Settings) Check() error {
	var bad input.Error
	for _, ttl := range []struct {
		field string
		value time.Duration
	}{{"access_ttl", s.AccessTTL}, {"refresh_idle_ttl", s.RefreshIdleTTL}, {"refresh_absolute_ttl", s.RefreshAbsoluteTTL}} {
		if ttl.value < leastTTL {
			bad.Add(ttl.field, input.TooShort, "%s must be at least %s, not %s.", ttl.field, leastTTL, input.Duration(ttl.value))
		}
	}
	if s.RefreshReplayWindow < 0 {
		bad.Add("refresh_replay_window", input.Invalid, "refresh_replay_window must not be negative, but is %s.", input.Duration(s.RefreshReplayWindow))
	}
	if s.RefreshIdleTTL > s.RefreshAbsoluteTTL {
		bad.AddTogether("refresh_idle_ttl", []string{"refresh_absolute_ttl"}, "refresh_idle_ttl: %s is longer than refresh_absolute_ttl (%s), which ends every session: lower the first or raise the second.",
			input.Duration(s.RefreshIdleTTL), input.Duration(s.RefreshAbsoluteTTL))
	}
	if s.RefreshReplayWindow >= s.RefreshIdleTTL {
		bad.AddTogether("refresh_replay_window", []string{"refresh_idle_ttl"}, "refresh_replay_window: %s must be shorter than refresh_idle_ttl (%s): lower it; 60s is plenty.",
			input.Duration(s.RefreshReplayWindow), input.Duration(s.RefreshIdleTTL))
	}
	for i, audience := range s.Audience {
		if err := oauth.CheckAudience(audience); err != nil {
			bad.AddItem("audience", i, input.Invalid, "audience: %q %v.", audience, err)
		}
	}
	return bad.Err()
}
