package rules

import (
	"encoding/base64"
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"harmony.internal/authcallout/shared/config"
	"harmony.internal/authcallout/shared/wire"
)

// variable is a typed value: one literal subject token, with list several, or nothing.
type variable struct {
	name        string
	number      int // in the order of the names
	from        []origin
	list        bool
	maxItems    int
	base64url   bool
	stripPrefix string
	lower       bool
	pattern     *regexp.Regexp // nil for any
	maxLength   int
}

// value is a variable's values and where they came from.
type value struct {
	known  bool // the variable was resolved
	words  []string
	origin string
	fail   *wire.Error
}

func compileVariable(name string, v Variable, r *config.Report) *variable {
	key := "variables." + name
	out := &variable{
		name: name, list: v.List, maxItems: v.MaxItems, base64url: v.Base64URL,
		stripPrefix: v.StripPrefix, lower: v.Lower, maxLength: v.MaxLength,
	}
	if !namePattern.MatchString(name) {
		r.Errorf(key, "a name must be 1 to 64 letters, digits, '_' or '-', beginning with a letter")
	}
	if len(v.From) == 0 {
		r.Errorf(key+".from", "is required: the claims to take it from")
	}
	for i, text := range v.From {
		o, err := parseOrigin(text)
		if err != nil {
			r.Errorf(fmt.Sprintf("%s.from[%d]", key, i), "%v", err)
		}
		if o.kind == fromClient {
			r.Warnf(fmt.Sprintf("%s.from[%d]", key, i), "the client chooses this value: whoever has a token can take any other's")
		}
		if name == deviceVariable {
			lintOrigin(fmt.Sprintf("%s.from[%d]", key, i), o, r)
		}
		out.from = append(out.from, o)
	}
	if name == deviceVariable && v.StripPrefix != "" {
		r.Warnf(key+".strip_prefix", "a value without %q in front is taken as it is, and is the same device as one with it; have a condition ask for the prefix", v.StripPrefix)
	}
	if v.MaxLength < 1 || v.MaxLength > defaultMaxLength {
		r.Errorf(key+".max_length", "must lie between 1 and %d", defaultMaxLength)
	}
	if v.MaxItems < 1 || v.MaxItems > mostItems {
		r.Errorf(key+".max_items", "must lie between 1 and %d", mostItems)
	}
	if v.Pattern != "" {
		var err error
		if out.pattern, err = regexp.Compile(`\A(?:` + v.Pattern + `)\z`); err != nil {
			r.Errorf(key+".pattern", "%v", err)
		}
	}
	return out
}

// resolve takes the variable's value. The first origin that has something decides: a bad value is not passed over for a
// better one further on.
func (v *variable) resolve(f *facts) value {
	unregistered := false
	for _, o := range v.from {
		raw, ok := o.value(f)
		if !ok {
			unregistered = unregistered || o.kind == fromRegistry && f.device == nil
			continue
		}
		words, fail := v.words(raw)
		return value{words: words, origin: o.text, fail: fail}
	}
	if unregistered {
		return value{fail: wire.Fail(wire.DeviceNotRegistered, v.name, nil)}
	}
	names := make([]string, len(v.from))
	for i, o := range v.from {
		names[i] = o.text
	}
	return value{fail: wire.Fail(wire.VariableUnresolved, v.name+": nothing at "+strings.Join(names, ", "), nil)}
}

func (v *variable) words(raw any) ([]string, *wire.Error) {
	items, isList := raw.([]any)
	switch {
	case !v.list && isList, !v.list && raw == nil:
		return nil, wire.Fail(wire.VariableUnresolved, v.name+": not one text", nil)
	case !isList:
		items = []any{raw}
	case len(items) > v.maxItems:
		return nil, wire.Fail(wire.VariableInvalid, v.name+": longer than max_items", nil)
	}
	words := make([]string, 0, len(items))
	for _, item := range items {
		text, ok := item.(string)
		if !ok {
			return nil, wire.Fail(wire.VariableUnresolved, v.name+": not text", nil)
		}
		word, why := v.word(text)
		if why != "" {
			return nil, wire.Fail(wire.VariableInvalid, v.name+": "+why, nil)
		}
		words = append(words, word)
	}
	return words, nil
}

// word returns text as a subject token, or why it is none.
func (v *variable) word(text string) (word, why string) {
	if v.base64url {
		raw, err := base64.RawURLEncoding.Strict().DecodeString(strings.TrimRight(text, "="))
		if err != nil {
			return "", "not base64url"
		}
		text = string(raw)
	}
	text = strings.TrimPrefix(text, v.stripPrefix)
	if why := tokenProblem(text, v.maxLength); why != "" {
		return "", why
	}
	if v.lower { // of a text that was good already
		if strings.ContainsFunc(text, lowersToASCII) {
			return "", "holds a letter whose small form is another's"
		}
		text = strings.ToLower(text)
		if why := tokenProblem(text, v.maxLength); why != "" {
			return "", why
		}
	}
	if v.pattern != nil && !v.pattern.MatchString(text) {
		return "", "does not match the pattern"
	}
	return text, ""
}

// lowersToASCII is true of letters as the capital I with a dot, which would make one id of two.
func lowersToASCII(r rune) bool { return r >= utf8.RuneSelf && unicode.ToLower(r) < utf8.RuneSelf }

// tokenProblem says why text may not be one token of a subject; empty when it may (DESIGN P6). Beyond what nats-server
// demands it refuses what two people could read differently, and beginnings that the server or this system reserve.
func tokenProblem(text string, maxLength int) string {
	switch {
	case text == "":
		return "empty"
	case len(text) > maxLength:
		return "too long"
	case !utf8.ValidString(text):
		return "not UTF-8"
	case strings.ContainsAny(text, ".*>"):
		return "holds '.', '*' or '>'"
	case strings.HasPrefix(text, "$"), strings.HasPrefix(text, "_INBOX"), strings.HasPrefix(text, "_AUTH_INBOX"):
		return "begins as a reserved subject does"
	case visibleASCII(text):
	case strings.ContainsFunc(text, notPlain):
		return "holds white space, a control or a formatting character, or one that cannot be seen"
	case !norm.NFC.IsNormalString(text):
		return "not in Unicode's composed form (NFC)"
	}
	return ""
}

// visibleASCII is true of nearly all values, and spares them the tables of Unicode.
func visibleASCII(text string) bool {
	for i := range len(text) {
		if text[i] <= ' ' || text[i] > '~' {
			return false
		}
	}
	return true
}

// notPlain is true of all that is no letter, mark, number, punctuation or symbol, as bidi overrides and joiners, which are
// formatting (Cf); and of those letters, marks and symbols that nobody sees (Unicode's Default_Ignorable_Code_Point, and the
// blank of Braille): with one of them an id would look like another.
func notPlain(r rune) bool {
	return unicode.IsSpace(r) || !unicode.IsPrint(r) || r == '\u2800' || unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}
