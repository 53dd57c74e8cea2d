// Package theme makes the hosted pages and the letters look like the operator's product:
// logo, colours, corners, links, a line at the foot, and a style sheet. [Settings] are what
// the operator sets, and [Load] reads their files, once. The zero [Theme] is our own look.
//
// Each file is an asset that is named by its digest, so that browsers may keep it forever.
// The colours become a style sheet, too, because the pages' content security policy takes
// no style from the page itself.
package theme

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"strings"

	"countersign/input"
	"countersign/uris"
)

// Settings are the look that the operator wants. Files are from the working directory if
// they are not absolute.
type Settings struct {
	// Logo names the file of a PNG, SVG, JPEG, WebP or ICO image, at most 256 KiB, shown in place
	// of the service's name. Letters show it if it is a PNG or a JPEG, because mail programs
	// show no others. Default empty: our own mark and the name.
	Logo string `yaml:"logo"`
	// LogoDark is the same for dark pages. Default empty: Logo.
	LogoDark string `yaml:"logo_dark"`
	// Favicon is the same for the browser's tab. Default empty: our own mark.
	Favicon string `yaml:"favicon"`
	// Accent is the colour of buttons, which have white text, and of links on white: #RGB or
	// #RRGGBB, in quotes. Either needs a contrast of 4.5:1 (WCAG 2.2, 1.4.3). Default empty:
	// our own.
	Accent string `yaml:"accent"`
	// AccentDark is the same for dark pages, with black text on buttons, and for links on
	// the dark background. Default empty: a lighter Accent.
	AccentDark string `yaml:"accent_dark"`
	// Radius is how round corners are: 0, or up to 2rem or 32px. Default empty: our own.
	Radius string `yaml:"radius"`
	// Stylesheet names a file of more CSS, at most 128 KiB, which pages load after their own.
	// It can load images of this server alone. Default empty: none.
	Stylesheet string `yaml:"stylesheet"`
	// Links are the addresses of your own pages at the foot of every page and letter.
	Links struct {
		// Terms is the https URL of your terms of service.
		Terms string `yaml:"terms"`
		// Privacy is the https URL of your privacy policy.
		Privacy string `yaml:"privacy"`
		// Support is the https or mailto URL of your support.
		Support string `yaml:"support"`
	} `yaml:"links"`
	// Footer is a line at the foot of every page and letter, such as the name and address of
	// your company: at most 200 characters. Default empty: none.
	Footer string `yaml:"footer"`
}

// Check returns all that is wrong with the settings, an *input.Error, or nil. Only Load
// reads the files.
func (s *Settings) Check() error {
	var bad input.Error
	if s.Accent != "" {
		checkColour(&bad, "accent", s.Accent, []ground{{white, "white: buttons have white text, and links are on white"}})
	}
	if s.AccentDark != "" {
		checkColour(&bad, "accent_dark", s.AccentDark, []ground{
			{black, "black: buttons have black text on dark pages"}, {darkCard, "the background of dark pages, " + darkCard.hex()},
		})
	}
	if _, ok := pixels(s.Radius); s.Radius != "" && !ok {
		bad.Add("radius", input.Invalid, "must be 0, or a length up to 2rem or 32px such as 12px or 0.5rem, not %q", s.Radius)
	}
	for _, l := range s.links() {
		if l.URL != "" && !validLink(l.URL, l.Name == "support") {
			schemes := "https URL"
			if l.Name == "support" {
				schemes = "https or mailto URL"
			}
			bad.Add("links."+l.Name, input.Invalid, "must be an %s, not %q", schemes, l.URL)
		}
	}
	if !validFooter(s.Footer) {
		bad.Add("footer", input.Invalid, "must be at most 200 printable characters on one line, without spaces around them")
	}
	return bad.Err()
}

// A Link leads to a page of the operator's. Name says which: terms, privacy or support.
type Link struct{ Name, URL string }

// links returns the links in the order in which they are shown, those that are empty too.
func (s *Settings) links() []Link {
	return []Link{{"terms", s.Links.Terms}, {"privacy", s.Links.Privacy}, {"support", s.Links.Support}}
}

// An Asset is a file that browsers load.
type Asset struct {
	Path string // below the issuer, with a digest of the body in it
	Type string // media type
	Body []byte
}

// newAsset returns an asset. Its name begins with what it is.
func newAsset(name, mediaType, extension string, body []byte) *Asset {
	sum := sha256.Sum256(body)
	return &Asset{"/assets/" + name + "-" + hex.EncodeToString(sum[:12]) + extension, mediaType, body}
}

// Theme is a look, ready to be shown. Its zero value is our own.
type Theme struct {
	Logo, LogoDark, Favicon *Asset // nil: none
	Styles                  []*Asset
	Links                   []Link
	Footer                  string
	accent, radius          string // of letters; empty: our own
}

// Assets returns all files, each once.
func (t *Theme) Assets() []*Asset {
	var all []*Asset
	seen := map[string]bool{}
	for _, a := range append([]*Asset{t.Logo, t.LogoDark, t.Favicon}, t.Styles...) {
		if a != nil && !seen[a.Path] {
			all, seen[a.Path] = append(all, a), true
		}
	}
	return all
}

// OurAccent is the colour of buttons without a theme.
const OurAccent = "#4338ca"

// Accent returns the colour of buttons with white text.
func (t *Theme) Accent() string {
	if t.accent == "" {
		return OurAccent
	}
	return t.accent
}

// Corners returns how round the card of a letter and its button are, in pixels: like those of
// pages, whose pages.css has the same figures.
func (t *Theme) Corners() (card, button int) {
	radius, _ := pixels(cmp.Or(t.radius, "16px"))
	return int(math.Round(radius)), int(math.Round(radius * 0.6))
}

// LetterLogo returns the logo if mail programs show its kind, else nil.
func (t *Theme) LetterLogo() *Asset {
	if t.Logo != nil && (t.Logo.Type == "image/png" || t.Logo.Type == "image/jpeg") {
		return t.Logo
	}
	return nil
}

// Load reads the files of the settings. The error is one line that names the setting and the
// file.
func Load(s Settings) (*Theme, error) {
	if err := s.Check(); err != nil {
		return nil, fmt.Errorf("theme: %w", err)
	}
	t := &Theme{Footer: s.Footer, accent: s.Accent, radius: s.Radius}
	for _, l := range s.links() {
		if l.URL != "" {
			t.Links = append(t.Links, l)
		}
	}
	for _, f := range []struct {
		key, file string
		to        **Asset
	}{{"logo", s.Logo, &t.Logo}, {"logo_dark", s.LogoDark, &t.LogoDark}, {"favicon", s.Favicon, &t.Favicon}} {
		if f.file == "" {
			continue
		}
		a, err := readImage(f.key, f.file)
		if err != nil {
			return nil, fmt.Errorf("theme.%s: %w", f.key, err)
		}
		*f.to = a
	}
	if css := s.colours(); css != "" {
		t.Styles = append(t.Styles, newAsset("theme", styleType, ".css", []byte(css)))
	}
	if s.Stylesheet != "" {
		a, err := readStyle(s.Stylesheet)
		if err != nil {
			return nil, fmt.Errorf("theme.stylesheet: %w", err)
		}
		t.Styles = append(t.Styles, a)
	}
	return t, nil
}

const styleType = "text/css; charset=utf-8"

// colours returns the style sheet of the colours and the corners, empty for our own.
func (s *Settings) colours() string {
	var light, dark string
	if s.Accent != "" {
		c, _ := parseColour(s.Accent)
		light = fmt.Sprintf("--accent: %s; --accent-strong: %s; ", c.hex(), c.mix(black, 0.15).hex())
	}
	if s.AccentDark != "" || s.Accent != "" {
		c, ok := parseColour(s.AccentDark)
		if !ok {
			c, _ = parseColour(s.Accent)
			c = c.readableOn(darkCard)
		}
		dark = fmt.Sprintf("--accent: %s; --accent-strong: %s; --on-accent: #000000; ", c.hex(), c.mix(white, 0.25).hex())
	}
	if s.Radius != "" {
		light += "--radius: " + s.Radius + "; "
	}
	var css strings.Builder
	if light != "" {
		fmt.Fprintf(&css, ":root { %s}\n", light)
	}
	if dark != "" {
		fmt.Fprintf(&css, "@media (prefers-color-scheme: dark) { :root { %s} }\n", dark)
	}
	return css.String()
}

// validLink reports whether pages and letters can link to a URL.
func validLink(s string, mayMail bool) bool {
	if address, ok := strings.CutPrefix(s, "mailto:"); ok {
		return mayMail && strings.Count(address, "@") == 1 && !strings.HasPrefix(address, "@") && len(s) <= 2048 &&
			!strings.ContainsFunc(address, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`<>"'&?`, r) })
	}
	return uris.IsWebPage(s)
}
