package theme_test

import (
	"bytes"
	"image"
	"image/jpeg"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"countersign/theme"
)

func TestColoursMustBeReadable(t *testing.T) {
	for value, want := range map[[2]string]string{
		{"#4338ca", ""}:      "",
		{"#767676", ""}:      "", // 4.54:1 to white
		{"#777777", ""}:      `"#777777" has a contrast of 4.47:1 to white`,
		{"#777", ""}:         "4.47:1",
		{"#FFD23F", ""}:      "1.44:1 to white",
		{"#ffffff", ""}:      "1.00:1 to white",
		{"", "#FFD23F"}:      "",
		{"", "#ffffff"}:      "",
		{"", "#4338ca"}:      "2.65:1 to black",
		{"", "#757575"}:      "3.80:1 to the background of dark pages",
		{"", "#000"}:         "1.00:1 to black",
		{"red", ""}:          "must be a colour",
		{"4338ca", ""}:       "must be a colour",
		{"#43", ""}:          "must be a colour",
		{"#4338cag", ""}:     "must be a colour",
		{"#+33333", ""}:      "must be a colour",
		{"#4338ca;}", ""}:    "must be a colour",
		{"", "rgb(1, 2, 3)"}: "must be a colour",
		{"#4338ca80", ""}:    "must be a colour",
	} {
		s := theme.Settings{Accent: value[0], AccentDark: value[1]}
		err := s.Check()
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: %v, want %q", value, err, want)
		}
	}
}

func TestOtherSettings(t *testing.T) {
	for radius, ok := range map[string]bool{"0": true, "12px": true, "0.5rem": true, "2rem": true, "32px": true, "33px": false, "2.1rem": false, "-1px": false, "1e1px": false, "50%": false, "1px;": false, "px": false, "NaNpx": false, "+1px": false} {
		s := theme.Settings{Radius: radius}
		if err := s.Check(); (err == nil) != ok {
			t.Errorf("radius %q: %v", radius, err)
		}
	}
	for url, ok := range map[string]bool{
		"https://example.com/terms#one": true, "mailto:help@example.com": false, "javascript:alert(1)": false, "http://example.com": false, "//example.com": false, "https://": false, "https://a b": false,
	} {
		var s theme.Settings
		s.Links.Terms = url
		if err := s.Check(); (err == nil) != ok {
			t.Errorf("terms %q: %v", url, err)
		}
	}
	for url, ok := range map[string]bool{"mailto:help@example.com": true, "https://example.com": true, "mailto:": false, "mailto:a": false, "mailto:@a": false, "mailto:a@b?bcc=c@d": false, "tel:1": false} {
		var s theme.Settings
		s.Links.Support = url
		if err := s.Check(); (err == nil) != ok {
			t.Errorf("support %q: %v", url, err)
		}
	}
	for footer, ok := range map[string]bool{"© 2026 Acme": true, strings.Repeat("가", 200): true, strings.Repeat("가", 201): false, " a": false, "a\nb": false, "a\u202eb": false, "\xff": false} {
		s := theme.Settings{Footer: footer}
		if err := s.Check(); (err == nil) != ok {
			t.Errorf("footer %q: %v", footer, err)
		}
	}
}

// keep writes a file and returns its name.
func keep(t *testing.T, name string, body []byte) string {
	t.Helper()
	name = filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(name, body, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// A file is what its content says, whatever its name.
func TestFiles(t *testing.T) {
	var asPNG, asJPEG bytes.Buffer
	picture := image.NewGray(image.Rect(0, 0, 2, 2))
	if err := png.Encode(&asPNG, picture); err != nil {
		t.Fatal(err)
	}
	if err := jpeg.Encode(&asJPEG, picture, nil); err != nil {
		t.Fatal(err)
	}
	const svg = `<?xml version="1.0"?><!-- a logo --><svg xmlns="http://www.w3.org/2000/svg"><path d="M0 0"/></svg>`
	for _, c := range []struct{ name, body, kind, wrong string }{
		{"a.png", asPNG.String(), "image/png", ""},
		{"a.txt", asPNG.String(), "image/png", ""},
		{"a.jpg", asJPEG.String(), "image/jpeg", ""},
		{"a.webp", "RIFF\x10\x00\x00\x00WEBPVP8 \x00\x00\x00\x00", "image/webp", ""},
		{"a.ico", "\x00\x00\x01\x00\x01\x00", "image/x-icon", ""},
		{"a.svg", svg, "image/svg+xml", ""},
		{"cut.png", asPNG.String()[:20], "", "broken"},
		{"a.gif", "GIF89a", "", "no PNG, SVG, JPEG, WebP or ICO"},
		{"cut.svg", svg[:80], "", "no PNG"},
		{"other.svg", `<svg><path/></svg>`, "", "no PNG"},
		{"a.html", `<html><svg xmlns="http://www.w3.org/2000/svg"/></html>`, "", "no PNG"},
		{"empty.png", "", "", "is empty"},
		{"huge.png", asPNG.String() + strings.Repeat("x", 256<<10), "", "larger than 256 KiB"},
	} {
		name := keep(t, c.name, []byte(c.body))
		look, err := theme.Load(theme.Settings{Logo: name, LogoDark: name, Favicon: name})
		if c.wrong != "" {
			if err == nil || !strings.HasPrefix(err.Error(), "theme.logo: ") || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), c.wrong) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%s: %v, want one line with %q", c.name, err, c.wrong)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if look.Logo.Type != c.kind || string(look.Logo.Body) != c.body || len(look.Assets()) != 3 {
			t.Errorf("%s is %s, want %s; %d assets", c.name, look.Logo.Type, c.kind, len(look.Assets()))
		}
		if inLetters := look.LetterLogo() != nil; inLetters != (c.kind == "image/png" || c.kind == "image/jpeg") {
			t.Errorf("%s is in letters: %v", c.name, inLetters)
		}
	}
	for _, name := range []string{t.TempDir(), filepath.Join(t.TempDir(), "missing"), "/dev/zero"} {
		if _, err := theme.Load(theme.Settings{Favicon: name}); err == nil || !strings.HasPrefix(err.Error(), "theme.favicon: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
	for body, ok := range map[string]bool{"h1 { color: red }": true, "\xff": false, "a\x00": false, strings.Repeat("x", 128<<10+1): false} {
		if _, err := theme.Load(theme.Settings{Stylesheet: keep(t, "a.css", []byte(body))}); (err == nil) != ok {
			t.Errorf("style sheet of %d bytes: %v", len(body), err)
		}
	}
}

// The colours are a style sheet; that of dark pages is made of the light one where it is not set.
func TestColoursAreAStyleSheet(t *testing.T) {
	css := func(s theme.Settings) string {
		t.Helper()
		look, err := theme.Load(s)
		if err != nil {
			t.Fatal(err)
		}
		var all strings.Builder
		for _, a := range look.Styles {
			all.Write(a.Body)
		}
		return all.String()
	}
	if got := css(theme.Settings{}); got != "" {
		t.Errorf("without settings: %q", got)
	}
	got := css(theme.Settings{Accent: "#D6006C", Radius: "2px"})
	for _, want := range []string{":root { --accent: #d6006c; --accent-strong: #b6005c; --radius: 2px; }", "(prefers-color-scheme: dark) { :root { --accent: #", "--on-accent: #000000"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in %s", want, got)
		}
	}
	_, dark, _ := strings.Cut(got, "(prefers-color-scheme: dark) { :root { --accent: ")
	s := theme.Settings{AccentDark: dark[:7]}
	if err := s.Check(); err != nil {
		t.Errorf("the colour of dark pages can't be read: %v", err)
	}
	if got := css(theme.Settings{AccentDark: "#ffd23f"}); strings.HasPrefix(got, ":root") || !strings.Contains(got, "#ffd23f") {
		t.Errorf("light pages changed, too: %s", got)
	}
}

// The style sheet of the pages has the ground that the colours are checked against.
func TestDarkGroundIsThatOfThePages(t *testing.T) {
	style, err := os.ReadFile("../pages/pages.css")
	if err != nil {
		t.Fatal(err)
	}
	s := theme.Settings{AccentDark: "#757575"}
	_, ground, _ := strings.Cut(s.Check().Error(), "dark pages, ")
	if !strings.Contains(string(style), "--card: "+ground[:7]+";") {
		t.Errorf("the pages have no --card: %s", ground[:7])
	}
	if !strings.Contains(string(style), "--accent: "+theme.OurAccent+";") {
		t.Errorf("the pages have no --accent: %s", theme.OurAccent)
	}
}
