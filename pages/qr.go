package pages

import (
	"fmt"
	"html/template"
	"image/color"
	"strings"

	"github.com/boombuler/barcode/qr"
)

// QR returns a QR code of a text as an SVG picture, dark on light with the margin that readers
// need, whatever the colours of the page: many apps read no other. label says what it is to
// a reader who can't see it.
func QR(text, label string) (template.HTML, error) {
	code, err := qr.Encode(text, qr.M, qr.Auto)
	if err != nil {
		return "", fmt.Errorf("make a QR code: %w", err)
	}
	const margin = 4 // modules
	size := code.Bounds().Dx()
	var dark strings.Builder
	for y := range size {
		for x := range size {
			if color.GrayModel.Convert(code.At(x, y)).(color.Gray).Y < 128 {
				fmt.Fprintf(&dark, "M%d %dh1v1h-1z", x+margin, y+margin)
			}
		}
	}
	return template.HTML(fmt.Sprintf(`<svg class="qr" viewBox="0 0 %[1]d %[1]d" role="img" aria-label="%[2]s" shape-rendering="crispEdges">`+
		`<path fill="#fff" d="M0 0h%[1]dv%[1]dH0z"/><path fill="#000" d="%[3]s"/></svg>`, size+2*margin, template.HTMLEscapeString(label), dark.String())), nil
}
