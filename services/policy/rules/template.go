package rules

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
)

// template is a subject with variables in it.
type template struct {
	text   string
	tokens []tokenTemplate
	queue  string // queue group, subscriptions only
}

// tokenTemplate is one token: parts that alternate between text (even) and variable names (odd).
type tokenTemplate struct {
	parts []string
}

const maxSubjectBytes = 1024

// parseTemplate reads a subject as nats-server takes it, with {name} for variables. A variable stays inside its token;
// beside one, a token holds no wildcard.
func parseTemplate(text string, queues bool) (*template, error) {
	subject, queue, hasQueue := strings.Cut(text, " ")
	switch {
	case hasQueue && !queues:
		return nil, errors.New("a queue group is for subscribe alone")
	case hasQueue && !literal(queue):
		return nil, errors.New("the queue group after the space must be one word")
	case len(text) > maxSubjectBytes:
		return nil, fmt.Errorf("longer than %d bytes", maxSubjectBytes)
	}
	t := &template{text: subject, queue: queue}
	words := strings.Split(subject, ".")
	for i, word := range words {
		token, err := parseToken(word, i == len(words)-1)
		if err != nil {
			return nil, err
		}
		t.tokens = append(t.tokens, token)
	}
	return t, nil
}

func parseToken(word string, last bool) (tokenTemplate, error) {
	var none tokenTemplate
	switch {
	case word == "":
		return none, errors.New("an empty token: two dots, or one at an end")
	case word == "*" || (word == ">" && last):
		return tokenTemplate{parts: []string{word}}, nil
	case strings.ContainsAny(word, "*>"):
		return none, errors.New("'*' must be a token of its own, '>' the last one")
	case strings.ContainsFunc(word, notVisible):
		return none, errors.New("white space or a character that cannot be seen")
	}
	var parts []string
	for {
		before, rest, found := strings.Cut(word, "{")
		if strings.Contains(before, "}") {
			return none, errors.New("'}' without '{'")
		}
		parts = append(parts, before)
		if !found {
			return tokenTemplate{parts: parts}, nil
		}
		name, after, closed := strings.Cut(rest, "}")
		if !closed || !namePattern.MatchString(name) {
			return none, errors.New("'{' must be followed by a variable's name and '}'")
		}
		parts = append(parts, name)
		word = after
	}
}

func notVisible(r rune) bool { return unicode.IsSpace(r) || !unicode.IsGraphic(r) }

func literal(word string) bool {
	return word != "" && !strings.ContainsAny(word, ".*> ") && !strings.ContainsFunc(word, notVisible)
}

// variables are the names that occur.
func (t *template) variables() []string {
	var names []string
	for _, token := range t.tokens {
		for i := 1; i < len(token.parts); i += 2 {
			names = append(names, token.parts[i])
		}
	}
	return names
}

// expand fills in values. It reports false when the result does not lie inside the template (DESIGN P6), which cannot
// happen with values that a variable accepted: this is the second lock.
func (t *template) expand(values map[string]string) (string, bool) {
	var b strings.Builder
	b.Grow(len(t.text) + 32)
	for i, token := range t.tokens {
		if i > 0 {
			b.WriteByte('.')
		}
		for j, part := range token.parts {
			if j%2 == 0 {
				b.WriteString(part)
			} else {
				b.WriteString(values[part])
			}
		}
	}
	subject := b.String()
	if !t.holds(subject) {
		return "", false
	}
	if t.queue != "" {
		subject += " " + t.queue
	}
	return subject, true
}

// holds reports whether subject lies inside the template: the same tokens, and one literal token in the place of each
// that has a variable.
func (t *template) holds(subject string) bool {
	if len(subject) > maxSubjectBytes {
		return false
	}
	rest, more := subject, true
	for _, token := range t.tokens {
		if !more {
			return false
		}
		var word string
		word, rest, more = strings.Cut(rest, ".")
		if len(token.parts) == 1 {
			if word != token.parts[0] {
				return false
			}
			continue
		}
		if !literal(word) || !strings.HasPrefix(word, token.parts[0]) || !strings.HasSuffix(word, token.parts[len(token.parts)-1]) {
			return false
		}
	}
	return !more
}
