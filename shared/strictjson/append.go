package strictjson

import (
	"encoding/json"
	"maps"
	"slices"
	"unicode/utf8"
)

const hexDigits = "0123456789abcdef"

// AppendText appends s as a JSON string, byte for byte as encoding/json writes it.
func AppendText(b []byte, s string) []byte {
	start := len(b)
	b = append(b, '"')
	from := 0
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c < ' ' || c >= utf8.RuneSelf || c == 0x7f:
			return appendUnusual(b[:start], s)
		case c == '"' || c == '\\':
			b = append(append(b, s[from:i]...), '\\', c)
			from = i + 1
		case c == '<' || c == '>' || c == '&':
			b = append(append(b, s[from:i]...), '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&0xf])
			from = i + 1
		}
	}
	return append(append(b, s[from:]...), '"')
}

// appendUnusual leaves control characters and what is not ASCII to encoding/json.
func appendUnusual(b []byte, s string) []byte {
	text, _ := json.Marshal(s) // a string never fails
	return append(b, text...)
}

// AppendTexts appends list as a JSON array of strings.
func AppendTexts(b []byte, list []string) []byte {
	b = append(b, '[')
	for i, s := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = AppendText(b, s)
	}
	return append(b, ']')
}

// AppendTextMap appends m as a JSON object of strings, its members in order.
func AppendTextMap(b []byte, m map[string]string) []byte {
	b = append(b, '{')
	for i, name := range slices.Sorted(maps.Keys(m)) {
		if i > 0 {
			b = append(b, ',')
		}
		b = AppendText(append(AppendText(b, name), ':'), m[name])
	}
	return append(b, '}')
}
