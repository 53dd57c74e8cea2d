package browser_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
)

// forge sends from a page every request that pages can send to other origins without
// permission: forms of every encoding, requests without CORS and with, beacons, images,
// scripts, style sheets, frames, and sandboxed frames, whose origin is null. It returns
// how many it sent.
const forge = `(async (server, calls) => {
	const settled = [];
	const loads = (element) => {
		settled.push(new Promise((resolve) => {
			element.onload = element.onerror = resolve;
			setTimeout(resolve, 3000);
		}));
		document.body.append(element);
	};
	const make = (name, properties) => Object.assign(document.createElement(name), properties);
	let sent = 0;
	for (const { method, path, body } of calls) {
		const url = server + path;
		const json = body && JSON.stringify(body);
		const headers = { "Content-Type": "application/json" };
		const requests = [
			{ method, mode: "cors", body: json, headers: json ? headers : {} },
			{ method, mode: "cors", body: json },
			{ method: "POST", mode: "no-cors", body: json },
			{ method: "POST", mode: "no-cors", body: body && new URLSearchParams(body) },
		];
		for (const request of requests) {
			settled.push(fetch(url, { credentials: "include", keepalive: true, ...request }).catch(() => {}));
			sent++;
		}
		for (const type of ["text/plain", "application/json"]) {
			navigator.sendBeacon(url, new Blob(json ? [json] : [], { type }));
			sent++;
		}
		for (const enctype of ["application/x-www-form-urlencoded", "multipart/form-data", "text/plain"]) {
			const target = "frame" + sent++;
			const form = make("form", { method: "POST", action: url, enctype, target });
			if (enctype === "text/plain" && json) { // the body is valid JSON: the = of the form is inside a value
				const cut = json.lastIndexOf('"');
				form.append(make("input", { name: json.slice(0, cut), value: json.slice(cut) }));
			} else {
				for (const [name, value] of Object.entries(body ?? {})) form.append(make("input", { name, value }));
			}
			loads(make("iframe", { name: target }));
			document.body.append(form);
			form.submit();
		}
		loads(make("img", { src: url }));
		loads(make("script", { src: url }));
		loads(make("link", { rel: "stylesheet", href: url }));
		loads(make("iframe", { src: url }));
		const inside = "fetch(" + JSON.stringify(url) + "," + JSON.stringify({ method: "POST", mode: "no-cors", credentials: "include", keepalive: true, body: json }) + ")";
		loads(make("iframe", { sandbox: "allow-scripts", srcdoc: "<script>" + inside + "</scr" + "ipt>" }));
		sent += 5;
	}
	await Promise.all(settled);
	return sent;
})($1, JSON.parse($2))`

// target is a request that changes or reveals something.
type target struct {
	Method string            `json:"method"`
	Path   string            `json:"path"`
	Body   map[string]string `json:"body,omitempty"`
}

// cookies are those of the server that the browser keeps.
func (b *tab) cookies(server string) map[string]string {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	kept := map[string]string{}
	_, err := chromedp.Run(ctx, func(ctx context.Context, t *chromedp.Target) (chromedp.Void, error) {
		result, err := cdp.Call(ctx, t, network.GetCookies, network.GetCookiesParams{URLs: []string{server}})
		if err != nil {
			return chromedp.Void{}, err
		}
		for _, c := range result.Cookies {
			kept[c.Name] = c.Value
		}
		return chromedp.Void{}, nil
	})
	if err != nil {
		b.fail("%v", err)
	}
	return kept
}

// A page of another origin changes nothing, whatever it sends with the victim's
// cookies: from another site, which gets the cookies by same_site none, and from a
// host of ours that isn't listed. The page on another site is a partner's, whose client
// isn't first-party. The same requests have an effect from a listed origin, so it is the
// origin that counts.
func TestForgedRequestsChangeNothing(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"false", "true"} {
		t.Run("access_cookie="+mode, func(t *testing.T) {
			h := newHosts(t, "COUNTERSIGN_SESSION_COOKIE_SAME_SITE=none", "COUNTERSIGN_SESSION_COOKIE_ACCESS_COOKIE="+mode, "COUNTERSIGN_SESSION_COOKIE_DOMAIN=example.test")
			server := h.origin(authHost)
			h.signUp("alice")
			h.signUp("mallory")
			h.token("alice", "openid") // gives alice another session
			h.register("partner", h.origin(evilFar))
			b := browse(t, true).newTab()
			b.blocked = true
			visit := func(host string) {
				t.Helper()
				b.open(h.origin(host) + "/page")
			}
			signIn := func() answer {
				t.Helper()
				visit(authHost)
				return b.ask(server, call{Method: "POST", Path: "/session", JSON: map[string]string{"username": "alice", "password": password}})
			}
			var in struct {
				Token string `json:"access_token"`
			}
			if r := signIn(); r.Status != http.StatusOK || json.Unmarshal([]byte(r.Body), &in) != nil {
				t.Fatalf("sign in: %+v", r)
			}
			// state returns everything that the server stores about alice.
			state := func() string {
				t.Helper()
				visit(authHost)
				r := b.ask(server, call{Method: "GET", Path: "/account/export"})
				if r.Status != http.StatusOK || !strings.Contains(r.Body, "alice") {
					t.Fatalf("export: %+v", r)
				}
				return r.Body
			}
			// tickets returns the forged requests, to all paths or to the named ones, with
			// a free username.
			tickets := func(name string, only ...string) string {
				const other = "another good password"
				list := []target{
					{"POST", "/session", map[string]string{"username": "mallory", "password": password}},
					{"POST", "/session/refresh", nil},
					{"GET", "/session", nil},
					{"DELETE", "/session", nil},
					{"POST", "/signup", map[string]string{"password": password, "ui_locales": "en", "username": name}},
					{"POST", "/account/password", map[string]string{"current_password": password, "new_password": other}},
					{"POST", "/account/email", map[string]string{"email": "mallory@example.org", "current_password": password}},
					{"POST", "/account/password/forgot", map[string]string{"username": "alice"}},
					{"POST", "/account/email/resend", map[string]string{"username": "alice"}},
					{"DELETE", "/account/sessions", nil},
					{"GET", "/account/export", nil},
					{"DELETE", "/account", map[string]string{"current_password": password}},
				}
				if only != nil {
					list = slices.DeleteFunc(list, func(one target) bool { return !slices.Contains(only, one.Path) })
				}
				text, err := json.Marshal(list)
				if err != nil {
					t.Fatal(err)
				}
				return string(text)
			}

			mails := func() int { return strings.Count(h.log.String(), "--- mail to ") }
			for end := time.Now().Add(patience); mails() < 2 && time.Now().Before(end); { // the two letters to the new users alice and mallory
				time.Sleep(50 * time.Millisecond)
			}
			before, kept := state(), b.cookies(server)
			if len(kept) < 2 {
				t.Fatalf("cookies: %v", kept)
			}
			for i, host := range []string{evilHost, evilFar} {
				visit(host)
				if host == evilFar {
					for _, path := range []string{"/session/refresh", "/account/export", "/userinfo"} {
						if r := b.ask(server, call{Method: "POST", Path: path}); r.Error == "" {
							t.Errorf("the partner's page reads %s: %+v", path, r)
						}
					}
					if r := b.ask(server, call{Method: "GET", Path: "/userinfo", Token: in.Token, NoCookies: true}); mode == "false" && r.Status != http.StatusOK {
						t.Errorf("the partner's page can't use a token: %+v", r)
					}
				}
				name := fmt.Sprint("forged", i)
				sent := evaluate[int](b, forge, server, tickets(name))
				// Navigations carry cookies even when other requests don't.
				for _, away := range []string{
					`location.assign($1 + "/session")`, `location.assign($1 + "/account/export")`,
					`document.body.append(Object.assign(document.createElement("form"), { id: "f", method: "POST", action: $1 + "/session/refresh" })), f.submit()`,
				} {
					evaluate[any](b, away+", null", server)
					time.Sleep(300 * time.Millisecond) // for the navigation, and for beacons, which report no answer
					visit(host)
				}
				t.Logf("%d forged requests from %s", sent, host)
				if got := state(); got != before {
					t.Errorf("from %s the state became\n%s\nfrom\n%s", host, got, before)
				}
				if got := b.cookies(server); fmt.Sprint(got) != fmt.Sprint(kept) {
					t.Errorf("from %s the cookies became %v", host, slices.Collect(maps.Keys(got)))
				}
				if got := h.usernames(); !slices.Equal(got, []string{"alice", "mallory"}) {
					t.Errorf("from %s the accounts became %q", host, got)
				}
				if n := mails(); n != 2 {
					t.Errorf("from %s %d mails were asked for", host, n-2)
				}
			}

			// A sibling host plants the cookies of its own account, some for longer paths, so
			// that browsers send them first. The user goes on as herself.
			visit(evilHost)
			planted := h.token("mallory", "openid profile")
			for _, name := range []string{"__Secure-countersign_access", "__Secure-countersign_refresh", "__Host-countersign_refresh", "__Host-countersign_access"} {
				for _, path := range []string{"/", "/account", "/userinfo", "/session"} {
					evaluate[any](b, "document.cookie = $1, null", name+"="+planted+"; Domain=example.test; Path="+path+"; Secure; SameSite=None")
				}
			}
			visit(appHost)
			for _, path := range []string{"/session", "/userinfo", "/account/export"} {
				r := b.ask(server, call{Method: "GET", Path: path})
				if strings.Contains(r.Body, "mallory") || (mode == "true" || path == "/session") && !strings.Contains(r.Body, "alice") {
					t.Errorf("with planted cookies %s answers %d %s", path, r.Status, r.Body)
				}
			}
			evaluate[int](b, forge, server, tickets("control", "/signup", "/session/refresh", "/account"))
			if got := h.usernames(); !slices.Equal(got, []string{"control", "mallory"}) {
				t.Errorf("from a listed origin the accounts became %q", got)
			}
			if got := b.cookies(server); fmt.Sprint(got) == fmt.Sprint(kept) {
				t.Error("from a listed origin the cookies are the same, too")
			}
		})
	}
}
