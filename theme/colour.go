package theme

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"countersign/input"
)

// A colour is in sRGB.
type colour struct{ r, g, b uint8 }

var (
	white    = colour{255, 255, 255}
	black    = colour{}
	darkCard = colour{0x17, 0x19, 0x21} // --card of pages.css where the system is dark, its lightest ground
)

// parseColour reads #RGB or #RRGGBB.
func parseColour(s string) (colour, bool) {
	digits, ok := strings.CutPrefix(s, "#")
	if !ok || len(digits) != 3 && len(digits) != 6 {
		return colour{}, false
	}
	if len(digits) == 3 {
		digits = strings.Repeat(digits[:1], 2) + strings.Repeat(digits[1:2], 2) + strings.Repeat(digits[2:], 2)
	}
	n, err := strconv.ParseUint(digits, 16, 32)
	return colour{uint8(n >> 16), uint8(n >> 8), uint8(n)}, err == nil
}

func (c colour) hex() string { return fmt.Sprintf("#%02x%02x%02x", c.r, c.g, c.b) }

// mix returns the colour with a share of another.
func (c colour) mix(other colour, share float64) colour {
	of := func(x, y uint8) uint8 { return uint8(math.Round(float64(x)*(1-share) + float64(y)*share)) }
	return colour{of(c.r, other.r), of(c.g, other.g), of(c.b, other.b)}
}

// luminance is the relative luminance of WCAG 2.2.
func (c colour) luminance() float64 {
	linear := func(x uint8) float64 {
		v := float64(x) / 255
		if v <= 0.04045 {
			return v / 12.92
		}
		return math.Pow((v+0.055)/1.055, 2.4)
	}
	return 0.2126*linear(c.r) + 0.7152*linear(c.g) + 0.0722*linear(c.b)
}

// contrast returns the contrast ratio of two colours (WCAG 2.2), 1 to 21.
func contrast(a, b colour) float64 {
	x, y := a.luminance(), b.luminance()
	return (max(x, y) + 0.05) / (min(x, y) + 0.05)
}

// leastContrast is what text needs (WCAG 2.2, 1.4.3).
const leastContrast = 4.5

// readableOn returns the colour, made lighter until text of it can be read on a dark ground.
func (c colour) readableOn(ground colour) colour {
	lighter := c
	for share := 0.0; share < 1 && contrast(lighter, ground) < 1.3*leastContrast; share += 0.05 {
		lighter = c.mix(white, share)
	}
	return lighter
}

// A ground is a colour that an accent meets, and why it does.
type ground struct {
	colour
	why string
}

// checkColour reports a setting that is no colour, or that can't be read on a ground. The
// ratio is rounded down, so that one that is too small never looks enough.
func checkColour(bad *input.Error, field, value string, grounds []ground) {
	c, ok := parseColour(value)
	if !ok {
		bad.Add(field, input.Invalid, "must be a colour such as \"#4338ca\", #RGB or #RRGGBB, not %q", value)
		return
	}
	for _, g := range grounds {
		if ratio := contrast(c, g.colour); ratio < leastContrast {
			bad.Add(field, input.Invalid, "%q has a contrast of %.2f:1 to %s; it needs at least 4.5:1", value, math.Floor(ratio*100)/100, g.why)
			return
		}
	}
}

// pixels reads a length of CSS in px or rem. It refuses one that is larger than looks right.
func pixels(s string) (float64, bool) {
	for unit, of := range map[string]float64{"px": 1, "rem": 16} {
		if number, ok := strings.CutSuffix(s, unit); ok {
			n, err := strconv.ParseFloat(number, 64)
			return n * of, err == nil && n >= 0 && n*of <= 32 && strings.Trim(number, "0123456789.") == ""
		}
	}
	return 0, s == "0"
}

// validFooter reports whether s is a line that can be shown.
func validFooter(s string) bool {
	return strings.TrimSpace(s) == s && utf8.ValidString(s) && utf8.RuneCountInString(s) <= 200 &&
		!strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) || unicode.Is(unicode.Bidi_Control, r) })
}
