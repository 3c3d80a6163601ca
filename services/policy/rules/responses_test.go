package rules_test

import (
	"strings"
	"testing"

	"harmony.internal/authcallout/services/policy/rules"
)

// TestLintResponses: a rule with allow_responses is refused when it lets its connections ask themselves, and warned of when another rule lets somebody ask them.
func TestLintResponses(t *testing.T) {
	const head = "variables: {device_id: {from: [sub]}}\nrules:\n"
	answering := func(more string) string {
		return "  - {name: a, when: 'has(claims.a)', account: D, allow_responses: {}, " + more + "}\n"
	}
	asking := func(more string) string { return "  - {name: b, when: 'true', subscribe: {}, " + more + "}\n" }
	const ask = "publish: {}, subscribe: {allow: ['ask.{device_id}']}"
	for _, tt := range []struct {
		name, text string
		refused    string // in the error about allow_responses; empty for none
		warned     string // in the warning about it; empty for none
	}{
		{"nobody asks", answering("publish: {allow: ['state.{device_id}']}, subscribe: {allow: ['ask.{device_id}']}"), "", ""},
		{"it asks itself", answering("publish: {allow: ['ask.{device_id}']}, subscribe: {allow: ['ask.{device_id}']}"), `the rule may publish "ask.{device_id}"`, ""},
		{"the reference flow's inbox", answering("publish: {allow: ['_INBOX.>']}, subscribe: {allow: ['_INBOX.>']}"), `the rule may publish "_INBOX.>"`, ""},
		{"the shared inbox", answering("publish: {allow: ['_INBOX.>']}, subscribe: {}, inbox: shared"), `"_INBOX.>" that it subscribes to`, ""},
		{"a private inbox", answering("publish: {allow: ['_INBOX.>']}, subscribe: {}, inbox: private, streams: [{publish: ['t.{device_id}']}]"), "", ""},
		{"in a queue group", answering("publish: {allow: ['ask.x']}, subscribe: {allow: ['ask.* workers']}"), `the rule may publish "ask.x"`, ""},
		{"a warning where it is meant", answering("publish: {allow: ['*.x']}, broad: true, subscribe: {allow: ['ask.x']}"), "", `"*.x"`},
		{"another asks", answering(ask) + asking("account: D, publish: {allow: ['ask.{device_id}']}"), "", `rule b may publish "ask.{device_id}"`},
		{"another may, in the default account", answering(ask) + asking("publish: {allow: ['ask.>']}"), "", "rule b may publish"},
		{"another of another account", answering(ask) + asking("account: E, publish: {allow: ['ask.>']}"), "", ""},
		{"another asks others", answering(ask) + asking("account: D, publish: {allow: ['ask2.{device_id}', 'ask.{device_id}.x', 'ask']}"), "", ""},
		{"words that differ around a variable", answering("publish: {allow: ['ask.a-{device_id}']}, subscribe: {allow: ['ask.b-{device_id}']}"), "", ""},
		{"words that may be the same around a variable", answering("publish: {allow: ['ask.a{device_id}']}, subscribe: {allow: ['ask.{device_id}-b']}"), "the rule may publish", ""},
		{"a word that no variable makes", answering("publish: {allow: ['ask.b']}, subscribe: {allow: ['ask.a-{device_id}']}"), "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			text := head + tt.text
			if !strings.Contains(text, "{device_id}") {
				text = strings.TrimPrefix(text, "variables: {device_id: {from: [sub]}}\n")
			}
			_, warnings, err := rules.Compile("rules.yaml", []byte(text))
			refusal := ""
			if err != nil {
				refusal = err.Error()
			}
			for _, c := range []struct{ kind, said, want string }{{"refused", refusal, tt.refused}, {"warned", warnings.Error(), tt.warned}} {
				about := lineAbout(c.said, "rules[0].allow_responses: ")
				if (about == "") != (c.want == "") || !strings.Contains(about, c.want) {
					t.Errorf("%s: got %q, want %q", c.kind, about, c.want)
				}
			}
		})
	}
}

// TestLintResponsesSaysItOnce: a rule whose connections many others may ask is warned of once.
func TestLintResponsesSaysItOnce(t *testing.T) {
	text := "rules:\n  - {name: asked, when: 'has(claims.a)', account: D, allow_responses: {}, publish: {}, subscribe: {allow: [ask]}}\n"
	for _, name := range []string{"x", "y", "z"} {
		text += "  - {name: " + name + ", when: 'has(claims." + name + ")', account: D, publish: {allow: [ask]}, subscribe: {}}\n"
	}
	_, warnings, err := rules.Compile("rules.yaml", []byte(text))
	if err != nil || strings.Count(warnings.Error(), "allow_responses") != 1 {
		t.Errorf("%v, %v", warnings, err)
	}
}

// lineAbout returns the line of a report that names key, empty for none.
func lineAbout(report, key string) string {
	for line := range strings.Lines(report) {
		if strings.Contains(line, key) {
			return line
		}
	}
	return ""
}
