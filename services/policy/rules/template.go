package rules

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// template is a subject with variables in it.
type template struct {
	at     string // key in the file
	text   string
	tokens []tokenTemplate
	queue  string // queue group, subscriptions only
	names  []string
	list   string // the variable whose elements it stands for, one subject each; empty for one subject
}

// tokenTemplate is one token: text, or text around one variable.
type tokenTemplate struct {
	before, name, after string
}

const maxSubjectBytes = 1024

// parseTemplate reads a subject as nats-server takes it, with {name} for variables. A variable stays inside its token,
// alone there but for fixed text: two side by side could share out one text in two ways.
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
		if token.name != "" && !slices.Contains(t.names, token.name) {
			t.names = append(t.names, token.name)
		}
	}
	return t, nil
}

func parseToken(word string, last bool) (tokenTemplate, error) {
	var none tokenTemplate
	switch {
	case word == "":
		return none, errors.New("an empty token: two dots, or one at an end")
	case word == "*" || (word == ">" && last):
		return tokenTemplate{before: word}, nil
	case strings.ContainsAny(word, "*>"):
		return none, errors.New("'*' must be a token of its own, '>' the last one")
	case strings.ContainsFunc(word, notVisible):
		return none, errors.New("white space or a character that cannot be seen")
	}
	before, rest, found := strings.Cut(word, "{")
	if strings.Contains(before, "}") {
		return none, errors.New("'}' without '{'")
	}
	if !found {
		return tokenTemplate{before: word}, nil
	}
	name, after, closed := strings.Cut(rest, "}")
	switch {
	case !closed || !namePattern.MatchString(name):
		return none, errors.New("'{' must be followed by a variable's name and '}'")
	case strings.ContainsAny(after, "{}"):
		return none, errors.New("two variables in one token: a.{x}-{y} cannot tell x-y and z from x and y-z; put a dot between them")
	}
	return tokenTemplate{before, name, after}, nil
}

func notVisible(r rune) bool { return unicode.IsSpace(r) || !unicode.IsGraphic(r) }

func literal(word string) bool {
	return word != "" && !strings.ContainsAny(word, ".*> ") && !strings.ContainsFunc(word, notVisible)
}

// binding is a variable with its values.
type binding struct {
	name  string
	words []string
}

// bindings are the few variables of one rule: too few for a map.
type bindings []binding

func (b bindings) of(name string) []string {
	for i := range b {
		if b[i].name == name {
			return b[i].words
		}
	}
	return nil
}

// expand appends the template's subjects with every value filled in: one, or one for each element of a list. It reports
// false when a result does not lie inside the template (DESIGN P6), which cannot happen with values that a variable
// accepted: this is the second lock.
func (t *template) expand(to []string, values bindings) ([]string, bool) {
	count := 1
	if t.list != "" {
		count = len(values.of(t.list))
	}
	for i := range count {
		subject, inside := t.fill(values, i)
		if !inside {
			return to, false
		}
		to = append(to, subject)
	}
	return to, true
}

// fill takes element i of the list variable and the only one of the others.
func (t *template) fill(values bindings, i int) (string, bool) {
	if len(t.names) == 0 {
		return t.withQueue(t.text), true
	}
	var b strings.Builder
	b.Grow(len(t.text) + 32)
	for n, token := range t.tokens {
		if n > 0 {
			b.WriteByte('.')
		}
		b.WriteString(token.before)
		if token.name == "" {
			continue
		}
		words, at := values.of(token.name), 0
		if token.name == t.list {
			at = i
		}
		if at >= len(words) {
			return "", false
		}
		b.WriteString(words[at])
		b.WriteString(token.after)
	}
	subject := b.String()
	if !t.holds(subject) {
		return "", false
	}
	return t.withQueue(subject), true
}

func (t *template) withQueue(subject string) string {
	if t.queue == "" {
		return subject
	}
	return subject + " " + t.queue
}

// holds reports whether subject lies inside the template: the same tokens, and one literal token in the place of each
// that has a variable.
func (t *template) holds(subject string) bool {
	if len(subject) > maxSubjectBytes {
		return false
	}
	rest, more := subject, true
	for i, token := range t.tokens {
		if !more {
			return false
		}
		var word string
		word, rest, more = strings.Cut(rest, ".")
		if token.name == "" {
			if word != token.before {
				return false
			}
			continue
		}
		if !literal(word) || i == 0 && word[0] == '$' && !strings.HasPrefix(token.before, "$") ||
			!strings.HasPrefix(word, token.before) || !strings.HasSuffix(word, token.after) {
			return false
		}
	}
	return !more
}
