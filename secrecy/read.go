package secrecy

import (
	"encoding/binary"
	"strings"
	"unicode/utf16"
)

// Read returns the secret that a file, a pipe or an environment variable holds: its text
// without the byte order mark and the ends of lines that editors and shells add. UTF-16
// with its mark, as PowerShell writes it, is text too. Spaces are part of the secret.
func Read(b []byte) Text {
	text := string(b)
	for mark, order := range map[string]binary.ByteOrder{"\xff\xfe": binary.LittleEndian, "\xfe\xff": binary.BigEndian} {
		if strings.HasPrefix(text, mark) && len(text)%2 == 0 {
			units := make([]uint16, 0, len(text)/2)
			for i := 2; i < len(text); i += 2 {
				units = append(units, order.Uint16(b[i:]))
			}
			text = string(utf16.Decode(units))
		}
	}
	return Text(strings.TrimRight(strings.TrimPrefix(text, "\ufeff"), "\r\n"))
}
