package strictjson

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Names that are equal but for their case: encoding/json takes the one for the other.

// shadows reports whether name is one of names but for its case.
func shadows(name []byte, names []string) bool {
	for _, n := range names {
		// A rune folds to one of at most three times its length.
		if len(name) <= 3*len(n) && !differ(name, n) && string(name) != n && strings.EqualFold(string(name), n) {
			return true
		}
	}
	return false
}

// differ reports that two texts begin with characters of ASCII that are not equal, whatever their case: most do, and then need no
// closer look. Two such characters fold to each other only if they are one letter, and the letters' cases are 0x20 apart.
func differ[A, B string | []byte](a A, b B) bool {
	return len(a) > 0 && len(b) > 0 && a[0]|b[0] < utf8.RuneSelf && (a[0]^b[0])&^0x20 != 0
}

// key returns name, or with fold one representative of all names that are equal to it under simple case folding: each
// rune is replaced by the smallest of its orbit, as bytes.EqualFold compares.
func key(name []byte, fold bool) string {
	if !fold {
		return string(name)
	}
	out := make([]byte, 0, len(name))
	for _, r := range string(name) {
		least := r
		for next := unicode.SimpleFold(r); next != r; next = unicode.SimpleFold(next) {
			least = min(least, next)
		}
		out = utf8.AppendRune(out, least)
	}
	return string(out)
}
