package rules

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
)

// claimNeeds are the claims that a policy looks at. A token carries many that no rule asks for; those are not decoded.
type claimNeeds struct {
	whole bool // a condition uses claims as a whole, or by a name that is not known before
	names map[string]bool
}

// add notes what one condition asks for.
func (n *claimNeeds) add(c *condition) {
	n.whole = n.whole || c.wholeClaims
	for _, name := range c.claims {
		n.names[name] = true
	}
}

// addPath notes the claim called name, and the one that the dots in name lead into; see member.
func (n *claimNeeds) addPath(name string) {
	n.names[name] = true
	if first, _, dotted := strings.Cut(name, "."); dotted {
		n.names[first] = true
	}
}

var errNoObject = errors.New("not an object")

// decode reads the claims that are needed. raw must be a part of what wire.Decode took: a fault in a claim that is
// not needed goes unnoticed here. Whole numbers stay whole: a double would round an id.
func (n *claimNeeds) decode(raw json.RawMessage) (map[string]any, error) {
	if n.whole {
		return decodeObject(raw)
	}
	claims := make(map[string]any, len(n.names))
	return claims, eachMember(raw, func(name, value []byte) error {
		if bytes.IndexByte(name, '\\') >= 0 {
			text, err := decodeValue(append(append([]byte{'"'}, name...), '"'))
			if err != nil {
				return err
			}
			name = []byte(text.(string))
		}
		if !n.names[string(name)] {
			return nil
		}
		v, err := decodeValue(value)
		if err != nil {
			return err
		}
		claims[string(name)] = v
		return nil
	})
}

func decodeObject(raw []byte) (map[string]any, error) {
	v, err := decodeValue(raw)
	if err != nil {
		return nil, err
	}
	claims, ok := v.(map[string]any)
	if !ok {
		return nil, errNoObject
	}
	return claims, nil
}

// decodeValue reads one JSON value.
func decodeValue(raw []byte) (any, error) {
	if text, ok := plainText(raw); ok {
		return text, nil
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return nil, err
	}
	return numbers(v), nil
}

// plainText reads a JSON string of printable ASCII without escapes, as nearly all are.
func plainText(raw []byte) (string, bool) {
	if len(raw) < 2 || raw[0] != '"' || raw[len(raw)-1] != '"' {
		return "", false
	}
	inner := raw[1 : len(raw)-1]
	for _, c := range inner {
		if c < 0x20 || c > 0x7e || c == '"' || c == '\\' {
			return "", false
		}
	}
	return string(inner), true
}

// eachMember calls each with every member of the object raw: the name as it stands between its quotes, and the value's
// text. It allocates nothing and checks no more than it must to find the ends.
func eachMember(raw []byte, each func(name, value []byte) error) error {
	s := memberScanner{rest: raw}
	if s.next() != '{' {
		return errNoObject
	}
	s.rest = s.rest[1:]
	if s.next() == '}' {
		return nil
	}
	for {
		if s.next() != '"' {
			return errNoObject
		}
		name := s.value()
		if s.next() != ':' || len(name) < 2 {
			return errNoObject
		}
		s.rest = s.rest[1:]
		s.next()
		value := s.value()
		if len(value) == 0 {
			return errNoObject
		}
		if err := each(name[1:len(name)-1], value); err != nil {
			return err
		}
		switch s.next() {
		case ',':
			s.rest = s.rest[1:]
		case '}':
			return nil
		default:
			return errNoObject
		}
	}
}

// memberScanner stands in an object.
type memberScanner struct{ rest []byte }

// next skips white space and returns the byte after it, 0 at the end.
func (s *memberScanner) next() byte {
	for len(s.rest) > 0 {
		switch s.rest[0] {
		case ' ', '\t', '\n', '\r':
			s.rest = s.rest[1:]
		default:
			return s.rest[0]
		}
	}
	return 0
}

// value takes the value that begins here, up to the byte that ends it.
func (s *memberScanner) value() []byte {
	depth, end := 0, 0
	for end < len(s.rest) {
		switch s.rest[end] {
		case '"':
			end = textEnd(s.rest, end)
			if depth == 0 {
				return s.take(end)
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return s.take(end)
			}
			if depth--; depth == 0 {
				return s.take(end + 1)
			}
		case ',', ':', ' ', '\t', '\n', '\r':
			if depth == 0 {
				return s.take(end)
			}
		}
		end++
	}
	return s.take(end)
}

func (s *memberScanner) take(end int) []byte {
	out := s.rest[:end:end]
	s.rest = s.rest[end:]
	return out
}

// textEnd is where the string that begins at start ends, its quotes included.
func textEnd(data []byte, start int) int {
	for i := start + 1; i < len(data); i++ {
		switch data[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(data)
}

// numbers replaces each json.Number by an int64 or, if it is none, a float64.
func numbers(v any) any {
	switch v := v.(type) {
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n
		}
		f, err := v.Float64()
		if err != nil {
			return nil // out of range: no text, and no number that a condition could compare
		}
		return f
	case []any:
		for i := range v {
			v[i] = numbers(v[i])
		}
	case map[string]any:
		for name := range v {
			v[name] = numbers(v[name])
		}
	}
	return v
}
