package rules

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/nats-io/nats-server/v2/server"
)

// FuzzExpand: whatever value a variable accepts, the subject lies inside the template's own subtree as the server
// itself matches subjects, and holds no wildcard that the template does not.
func FuzzExpand(f *testing.F) {
	f.Add("device-state.{x}", "sensor-a")
	f.Add("_INBOX_{x}.>", "a")
	f.Add("a.*.{x}.b{x}c", ">")
	f.Add("{x}", "a.b")
	f.Fuzz(func(t *testing.T, text, value string) {
		tmpl, err := parseTemplate(text, false)
		if err != nil {
			return
		}
		accepted := tokenProblem(value, defaultMaxLength) == ""
		var values bindings
		for _, name := range tmpl.names {
			values = append(values, binding{name, []string{value}})
		}
		subjects, inside := tmpl.expand(nil, values)
		if !accepted {
			// The second lock alone: whatever comes through it lies inside the template.
			if !inside {
				return
			}
		} else if !inside && len(text)+len(value)*len(tmpl.tokens) < maxSubjectBytes {
			t.Fatalf("%q does not take %q", text, value)
		}
		if !inside {
			return
		}
		subject := subjects[0]
		if !utf8.ValidString(subject) || strings.ContainsAny(subject, " \t\r\n") {
			return
		}
		if !server.IsValidSubject(subject) {
			t.Fatalf("%q with %q: %q is no subject", text, value, subject)
		}
		if outer := widest(tmpl); !server.SubjectsCollide(outer, subject) || strings.Count(subject, ".") != strings.Count(outer, ".") {
			t.Fatalf("%q with %q: %q lies outside %q", text, value, subject, outer)
		}
		if strings.Count(subject, "*") != strings.Count(tmpl.text, "*") || strings.Count(subject, ">") != strings.Count(tmpl.text, ">") {
			t.Fatalf("%q with %q: %q has a wildcard of its own", text, value, subject)
		}
	})
}

// widest is the template with "*" for each token that has a variable.
func widest(t *template) string {
	words := make([]string, len(t.tokens))
	for i, token := range t.tokens {
		words[i] = token.before
		if token.name != "" {
			words[i] = "*"
		}
	}
	return strings.Join(words, ".")
}
