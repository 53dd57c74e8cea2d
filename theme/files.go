package theme

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"image"
	_ "image/jpeg" // for checkImage
	_ "image/png"  // for checkImage
	"io"
	"net/http"
	"os"
	"unicode/utf8"
)

// The most that a file may have, in bytes.
const (
	maxImage = 256 << 10
	maxStyle = 128 << 10
)

// read reads a regular file of at most so many bytes.
func read(name string, most int) ([]byte, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", name)
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	body, err := io.ReadAll(io.LimitReader(f, int64(most)+1))
	if err != nil {
		return nil, err
	}
	if len(body) > most {
		return nil, fmt.Errorf("%s is larger than %d KiB", name, most>>10)
	}
	if len(body) == 0 {
		return nil, fmt.Errorf("%s is empty", name)
	}
	return body, nil
}

// imageTypes are the media types of images, with the extensions of their assets.
var imageTypes = map[string]string{
	"image/png": ".png", "image/jpeg": ".jpg", "image/webp": ".webp", "image/x-icon": ".ico", svgType: ".svg",
}

const svgType = "image/svg+xml"

// readImage reads an image. Its content says what it is, whatever its name.
func readImage(key, name string) (*Asset, error) {
	body, err := read(name, maxImage)
	if err != nil {
		return nil, err
	}
	kind := http.DetectContentType(body)
	if imageTypes[kind] == "" && isSVG(body) {
		kind = svgType
	}
	if imageTypes[kind] == "" {
		return nil, fmt.Errorf("%s is no PNG, SVG, JPEG, WebP or ICO image", name)
	}
	if kind == "image/png" || kind == "image/jpeg" {
		if _, _, err := image.DecodeConfig(bytes.NewReader(body)); err != nil {
			return nil, fmt.Errorf("%s is a broken image: %w", name, err)
		}
	}
	return newAsset(key, kind, imageTypes[kind], body), nil
}

// isSVG reports whether a file is well-formed XML with an svg element of SVG's namespace
// around all of it. Scripts in it never run: pages show it as an image, and its address has
// a policy that forbids them.
func isSVG(body []byte) bool {
	d := xml.NewDecoder(bytes.NewReader(body))
	root := false
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return root
		}
		if err != nil {
			return false
		}
		if e, ok := token.(xml.StartElement); ok && !root {
			if root = e.Name.Local == "svg" && e.Name.Space == "http://www.w3.org/2000/svg"; !root {
				return false
			}
		}
	}
}

// readStyle reads a style sheet.
func readStyle(name string) (*Asset, error) {
	body, err := read(name, maxStyle)
	if err != nil {
		return nil, err
	}
	if !utf8.Valid(body) || bytes.ContainsRune(body, 0) {
		return nil, fmt.Errorf("%s is no style sheet: it has to be text in UTF-8", name)
	}
	return newAsset("style", styleType, ".css", body), nil
}
