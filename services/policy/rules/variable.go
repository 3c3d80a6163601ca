package rules

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"harmony.internal/authcallout/shared/config"
	"harmony.internal/authcallout/shared/wire"
)

// variable is a typed value: one literal subject token, or nothing.
type variable struct {
	name        string
	from        []string
	stripPrefix string
	maxLength   int
}

func compileVariable(name string, v Variable, r *config.Report) *variable {
	key := "variables." + name
	if !namePattern.MatchString(name) {
		r.Errorf(key, "a name must be 1 to 64 letters, digits, '_' or '-', beginning with a letter")
	}
	if len(v.From) == 0 {
		r.Errorf(key+".from", "is required: the claims to take it from")
	}
	for i, claim := range v.From {
		if claim == "" {
			r.Errorf(fmt.Sprintf("%s.from[%d]", key, i), "must not be empty")
		}
	}
	if v.MaxLength < 1 || v.MaxLength > defaultMaxLength {
		r.Errorf(key+".max_length", "must lie between 1 and %d", defaultMaxLength)
	}
	return &variable{name: name, from: v.From, stripPrefix: v.StripPrefix, maxLength: v.MaxLength}
}

// resolve takes the variable's value from claims. The first claim that is there decides: a bad value is not passed over
// for a better one further on.
func (v *variable) resolve(claims map[string]any) (string, *wire.Error) {
	for _, claim := range v.from {
		raw, ok := member(claims, claim)
		if !ok {
			continue
		}
		text, ok := raw.(string)
		if !ok {
			return "", wire.Fail(wire.VariableUnresolved, v.name+": the claim is not one text", nil)
		}
		text = strings.TrimPrefix(text, v.stripPrefix)
		if why := tokenProblem(text, v.maxLength); why != "" {
			return "", wire.Fail(wire.VariableInvalid, v.name+": "+why, nil)
		}
		return text, nil
	}
	return "", wire.Fail(wire.VariableUnresolved, v.name+": no claim of "+strings.Join(v.from, ", "), nil)
}

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
	case strings.ContainsFunc(text, notPlain):
		return "holds white space, a control or a formatting character"
	case !norm.NFC.IsNormalString(text):
		return "not in Unicode's composed form (NFC)"
	}
	return ""
}

// notPlain is true of all that is no letter, mark, number, punctuation or symbol; bidi overrides and joiners are
// formatting (Cf).
func notPlain(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }

// member returns the claim called name or, where there is none, what the dots in name lead to.
func member(claims map[string]any, name string) (any, bool) {
	if v, ok := claims[name]; ok {
		return v, true
	}
	first, rest, dotted := strings.Cut(name, ".")
	if !dotted {
		return nil, false
	}
	inner, ok := claims[first].(map[string]any)
	if !ok {
		return nil, false
	}
	return member(inner, rest)
}
