package strictjson

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Limits bounds a text. Every field must be positive.
type Limits struct {
	MaxBytes   int // length of the text
	MaxDepth   int // nesting of arrays and objects; 1 is a flat object
	MaxMembers int // members and elements in the whole text
}

// Errors that callers tell apart; every other refusal is ErrSyntax.
var (
	ErrTooLarge  = errors.New("longer, deeper or with more members than allowed")
	ErrDuplicate = errors.New("a member appears twice, or twice but for its case")
	ErrSyntax    = errors.New("not strict JSON")
)

// CheckObject reports what is wrong with data, which must be exactly one JSON object (RFC 8259) within lim: valid
// UTF-8, no unpaired surrogate, no member twice in one object at any depth, in the outermost object no two members that
// are equal under Unicode simple case folding, none that folds to one of names without being it, and nothing but white
// space after it. A text of short objects costs no allocation. An error wraps ErrTooLarge, ErrDuplicate or ErrSyntax and names an offset, never the text.
// Safe for concurrent use.
func CheckObject(data []byte, lim Limits, names ...string) error {
	s := scanner{data: data, lim: lim, names: names}
	return s.whole()
}

// Members is CheckObject for a caller that wants the members of the outermost object too, each as its value stands in
// data, which it shares memory with. It is what encoding/json decodes into a map of json.RawMessage, in one pass.
func Members(data []byte, lim Limits, names ...string) (map[string]json.RawMessage, error) {
	s := scanner{data: data, lim: lim, names: names, found: make(map[string]json.RawMessage, few)}
	if err := s.whole(); err != nil {
		return nil, err
	}
	return s.found, nil
}

// whole reads data, which must be one object.
func (s *scanner) whole() error {
	if len(s.data) > s.lim.MaxBytes {
		return fmt.Errorf("%d bytes, at most %d: %w", len(s.data), s.lim.MaxBytes, ErrTooLarge)
	}
	s.space()
	if s.peek() != '{' {
		return s.fail(ErrSyntax)
	}
	if err := s.value(0); err != nil {
		return err
	}
	s.space()
	if s.pos != len(s.data) {
		return s.fail(ErrSyntax)
	}
	return nil
}

// scanner reads data once, left to right.
type scanner struct {
	data    []byte
	lim     Limits
	names   []string
	found   map[string]json.RawMessage // members of the outermost object, nil when nobody wants them
	pos     int
	members int
}

func (s *scanner) fail(err error) error { return fmt.Errorf("at offset %d: %w", s.pos, err) }

// peek returns the next byte, 0 at the end; a 0 in the text is no JSON anywhere outside a string.
func (s *scanner) peek() byte {
	if s.pos < len(s.data) {
		return s.data[s.pos]
	}
	return 0
}

func (s *scanner) space() {
	for s.pos < len(s.data) {
		switch s.data[s.pos] {
		case ' ', '\t', '\n', '\r':
			s.pos++
		default:
			return
		}
	}
}

// value reads one value that is nested in depth arrays and objects.
func (s *scanner) value(depth int) error {
	switch c := s.peek(); c {
	case '{':
		return s.object(depth + 1)
	case '[':
		return s.array(depth + 1)
	case '"':
		_, _, err := s.text()
		return err
	case 't':
		return s.literal("true")
	case 'f':
		return s.literal("false")
	case 'n':
		return s.literal("null")
	default:
		return s.number()
	}
}

func (s *scanner) literal(want string) error {
	if !strings.HasPrefix(string(s.data[s.pos:min(len(s.data), s.pos+len(want))]), want) {
		return s.fail(ErrSyntax)
	}
	s.pos += len(want)
	return nil
}

func (s *scanner) digits() bool {
	start := s.pos
	for c := s.peek(); c >= '0' && c <= '9'; c = s.peek() {
		s.pos++
	}
	return s.pos > start
}

// number reads a number as RFC 8259 section 6 has it.
func (s *scanner) number() error {
	if s.peek() == '-' {
		s.pos++
	}
	if s.peek() == '0' {
		s.pos++
	} else if !s.digits() {
		return s.fail(ErrSyntax)
	}
	if s.peek() == '.' {
		s.pos++
		if !s.digits() {
			return s.fail(ErrSyntax)
		}
	}
	if c := s.peek(); c == 'e' || c == 'E' {
		s.pos++
		if c := s.peek(); c == '+' || c == '-' {
			s.pos++
		}
		if !s.digits() {
			return s.fail(ErrSyntax)
		}
	}
	return nil
}

func (s *scanner) count(depth int) error {
	s.members++
	if s.members > s.lim.MaxMembers || depth > s.lim.MaxDepth {
		return s.fail(ErrTooLarge)
	}
	return nil
}

func (s *scanner) array(depth int) error {
	if depth > s.lim.MaxDepth {
		return s.fail(ErrTooLarge)
	}
	s.pos++ // [
	s.space()
	if s.peek() == ']' {
		s.pos++
		return nil
	}
	for {
		if err := s.count(depth); err != nil {
			return err
		}
		s.space()
		if err := s.value(depth); err != nil {
			return err
		}
		if done, err := s.next(']'); done || err != nil {
			return err
		}
	}
}

// next reads the comma between two elements or the end.
func (s *scanner) next(end byte) (done bool, err error) {
	s.space()
	switch s.peek() {
	case ',':
		s.pos++
		return false, nil
	case end:
		s.pos++
		return true, nil
	}
	return false, s.fail(ErrSyntax)
}

func (s *scanner) object(depth int) error {
	if depth > s.lim.MaxDepth {
		return s.fail(ErrTooLarge)
	}
	s.pos++ // {
	s.space()
	if s.peek() == '}' {
		s.pos++
		return nil
	}
	var seen members
	for {
		if err := s.count(depth); err != nil {
			return err
		}
		if err := s.member(&seen, depth); err != nil {
			return err
		}
		if done, err := s.next('}'); done || err != nil {
			return err
		}
	}
}

func (s *scanner) member(seen *members, depth int) error {
	s.space()
	if s.peek() != '"' {
		return s.fail(ErrSyntax)
	}
	raw, escaped, err := s.text()
	if err != nil {
		return err
	}
	name := raw
	if escaped {
		name = unescape(raw)
	}
	if !seen.add(name, depth == 1) || (depth == 1 && shadows(name, s.names)) {
		return s.fail(ErrDuplicate)
	}
	s.space()
	if s.peek() != ':' {
		return s.fail(ErrSyntax)
	}
	s.pos++
	s.space()
	start := s.pos
	if err := s.value(depth); err != nil {
		return err
	}
	if depth == 1 && s.found != nil {
		s.found[string(name)] = s.data[start:s.pos:s.pos]
	}
	return nil
}

// text reads a string and returns what stands between its quotes.
func (s *scanner) text() (raw []byte, escaped bool, err error) {
	s.pos++ // "
	start := s.pos
	for {
		for s.pos < len(s.data) && plain[s.data[s.pos]] {
			s.pos++
		}
		if s.pos == len(s.data) {
			return nil, false, s.fail(ErrSyntax)
		}
		switch c := s.data[s.pos]; {
		case c == '"':
			s.pos++
			return s.data[start : s.pos-1], escaped, nil
		case c < 0x20:
			return nil, false, s.fail(ErrSyntax)
		case c == '\\':
			escaped = true
			if !s.escape() {
				return nil, false, s.fail(ErrSyntax)
			}
		default:
			r, size := utf8.DecodeRune(s.data[s.pos:])
			if r == utf8.RuneError && size == 1 {
				return nil, false, s.fail(ErrSyntax)
			}
			s.pos += size
		}
	}
}

// plain are the bytes that stand for themselves in a string.
var plain = func() (p [256]bool) {
	for c := ' '; c < utf8.RuneSelf; c++ {
		p[c] = c != '"' && c != '\\'
	}
	return p
}()

// escape reads one escape, or the two of a surrogate pair. Half a pair is refused: decoders replace it, so that two
// different texts would mean the same.
func (s *scanner) escape() bool {
	s.pos++ // backslash
	switch s.peek() {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		s.pos++
		return true
	case 'u':
		r, ok := hex4(s.data[s.pos+1:])
		if !ok {
			return false
		}
		s.pos += 5
		if !utf16.IsSurrogate(r) {
			return true
		}
		rest := s.data[s.pos:]
		if len(rest) < 6 || rest[0] != '\\' || rest[1] != 'u' {
			return false
		}
		low, ok := hex4(rest[2:])
		if !ok || utf16.DecodeRune(r, low) == utf8.RuneError {
			return false
		}
		s.pos += 6
		return true
	}
	return false
}

func hex4(b []byte) (rune, bool) {
	if len(b) < 4 {
		return 0, false
	}
	var r rune
	for _, c := range b[:4] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

// unescape returns what a string that text accepted stands for.
func unescape(raw []byte) []byte {
	out := make([]byte, 0, len(raw))
	for i := 0; i < len(raw); i++ {
		if raw[i] != '\\' {
			out = append(out, raw[i])
			continue
		}
		i++
		switch raw[i] {
		case 'b':
			out = append(out, '\b')
		case 'f':
			out = append(out, '\f')
		case 'n':
			out = append(out, '\n')
		case 'r':
			out = append(out, '\r')
		case 't':
			out = append(out, '\t')
		case 'u':
			r, _ := hex4(raw[i+1:])
			i += 4
			if utf16.IsSurrogate(r) {
				low, _ := hex4(raw[i+3:])
				r = utf16.DecodeRune(r, low)
				i += 6
			}
			out = utf8.AppendRune(out, r)
		default:
			out = append(out, raw[i])
		}
	}
	return out
}
