package upstreams

import (
	"cmp"
	"context"
	"encoding/json"
	"strconv"
	"time"
)

// Providers that say in a document of their own who the user is.

// number is an id that is a JSON number, or a string of one.
type number string

// UnmarshalJSON implements [json.Unmarshaler].
func (n *number) UnmarshalJSON(b []byte) error {
	var v json.Number
	if err := json.Unmarshal(b, &v); err != nil {
		return err
	}
	*n = number(v)
	if id, err := strconv.ParseUint(string(v), 10, 64); err != nil || id == 0 {
		*n = "" // refused as no subject
	}
	return nil
}

// readGitHub reads https://docs.github.com/en/rest/users/users. The address counts that the
// user has chosen as the primary one, where GitHub has verified it.
func readGitHub(ctx context.Context, _ time.Time, p *provider, f *found, a *answered) (Claims, error) {
	var user struct {
		ID      number `json:"id"`
		Login   string `json:"login"`
		Name    string `json:"name"`
		Picture string `json:"avatar_url"`
	}
	if err := get(ctx, a.client, f.userinfo, a.token.AccessToken, &user); err != nil {
		return Claims{}, err
	}
	c := Claims{Issuer: f.issuer, Subject: string(user.ID), Name: cmp.Or(user.Name, user.Login), Picture: user.Picture}
	var emails []struct {
		Email    string `json:"email"`
		Primary  bool   `json:"primary"`
		Verified bool   `json:"verified"`
	}
	if err := get(ctx, a.client, cmp.Or(p.EmailsEndpoint, p.preset.emails), a.token.AccessToken, &emails); err != nil {
		return Claims{}, err
	}
	for _, e := range emails {
		if e.Primary {
			c.Email, c.EmailVerified = e.Email, e.Verified
		}
	}
	return c, nil
}

// readKakao reads https://developers.kakao.com/docs/latest/en/kakaologin/rest-api#req-user-info.
// An address that is no longer valid now belongs to another Kakao account.
func readKakao(ctx context.Context, _ time.Time, _ *provider, f *found, a *answered) (Claims, error) {
	var user struct {
		ID      number `json:"id"`
		Account struct {
			Email    string `json:"email"`
			Valid    bool   `json:"is_email_valid"`
			Verified bool   `json:"is_email_verified"`
			Profile  struct {
				Nickname string `json:"nickname"`
				Picture  string `json:"profile_image_url"`
				Default  bool   `json:"is_default_image"`
			} `json:"profile"`
		} `json:"kakao_account"`
	}
	if err := get(ctx, a.client, f.userinfo, a.token.AccessToken, &user); err != nil {
		return Claims{}, err
	}
	k := &user.Account
	if k.Profile.Default {
		k.Profile.Picture = ""
	}
	return Claims{
		Issuer: f.issuer, Subject: string(user.ID), Email: k.Email, EmailVerified: k.Valid && k.Verified,
		Name: k.Profile.Nickname, Picture: k.Profile.Picture,
	}, nil
}

// readNaver reads https://developers.naver.com/docs/login/profile/profile.md. Naver doesn't
// say whether the user has proven the address.
func readNaver(ctx context.Context, _ time.Time, _ *provider, f *found, a *answered) (Claims, error) {
	var answer struct {
		Response struct {
			ID       string `json:"id"`
			Email    string `json:"email"`
			Name     string `json:"name"`
			Nickname string `json:"nickname"`
			Picture  string `json:"profile_image"`
		} `json:"response"`
	}
	if err := get(ctx, a.client, f.userinfo, a.token.AccessToken, &answer); err != nil {
		return Claims{}, err
	}
	r := &answer.Response
	return Claims{Issuer: f.issuer, Subject: r.ID, Email: r.Email, Name: cmp.Or(r.Name, r.Nickname), Picture: r.Picture}, nil
}

// readDiscord reads https://docs.discord.com/developers/resources/user.
func readDiscord(ctx context.Context, _ time.Time, _ *provider, f *found, a *answered) (Claims, error) {
	var user struct {
		ID       string `json:"id"`
		Username string `json:"username"`
		Name     string `json:"global_name"`
		Avatar   string `json:"avatar"`
		Email    string `json:"email"`
		Verified bool   `json:"verified"`
		Locale   string `json:"locale"`
	}
	if err := get(ctx, a.client, f.userinfo, a.token.AccessToken, &user); err != nil {
		return Claims{}, err
	}
	c := Claims{
		Issuer: f.issuer, Subject: user.ID, Email: user.Email, EmailVerified: user.Verified,
		Name: cmp.Or(user.Name, user.Username), Locale: user.Locale,
	}
	if user.Avatar != "" {
		c.Picture = "https://cdn.discordapp.com/avatars/" + user.ID + "/" + user.Avatar + ".png"
	}
	return c, nil
}
