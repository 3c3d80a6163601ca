package rules_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"harmony.internal/authcallout/services/policy/rules"
	"harmony.internal/authcallout/shared/config"
	"harmony.internal/authcallout/shared/wire"
)

// reference is the rules file of the reference flow.
const reference = `
variables:
  device_id: { from: [device_id], strip_prefix: "" }
rules:
  - name: device
    when: '"device" in roles'
    account: DEVICES
    publish:   { allow: ["device-state.{device_id}", "_INBOX.>"] }
    subscribe: { allow: ["device-commands.{device_id}", "_INBOX.>"] }
`

func mustCompile(t testing.TB, text string) *rules.Policy {
	t.Helper()
	p, _, err := rules.Compile("rules.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// request is a verified token with the role device and these claims.
func request(claims string) *wire.DecideRequest {
	return &wire.DecideRequest{Token: wire.Verified{
		Issuer: "https://id.example.com", Subject: "7", Roles: []string{"device"}, Claims: json.RawMessage(claims),
	}}
}

func withDevice(t testing.TB, id any) *wire.DecideRequest {
	t.Helper()
	claims, err := json.Marshal(map[string]any{"device_id": id})
	if err != nil {
		t.Fatal(err)
	}
	return request(string(claims))
}

func code(fail *wire.Error) wire.Code {
	if fail == nil {
		return 0
	}
	return fail.Code
}

func TestReferenceGrant(t *testing.T) {
	p := mustCompile(t, reference)
	got, fail := p.Decide(withDevice(t, "sensor-test-01"), rules.Context{})
	if fail != nil {
		t.Fatal(fail)
	}
	want := &wire.Grant{
		Rule: "device", Device: "sensor-test-01", Account: "DEVICES",
		Publish:   wire.Permissions{Allow: []string{"device-state.sensor-test-01", "_INBOX.>"}},
		Subscribe: wire.Permissions{Allow: []string{"device-commands.sensor-test-01", "_INBOX.>"}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v", got)
	}
	if p.Hash() == "" || p.Hash() != mustCompile(t, reference).Hash() || p.Hash() == mustCompile(t, reference+"\n").Hash() {
		t.Error("the hash does not name the text")
	}
}

func TestDeviceIDs(t *testing.T) {
	p := mustCompile(t, reference)
	for _, id := range []string{"sensor-a", "A_1", "Zürich", "0", "a/b", "a{b}", "a\uff0eb", "\u0e01\u0e33", strings.Repeat("x", 128)} {
		if _, fail := p.Decide(withDevice(t, id), rules.Context{}); fail != nil {
			t.Errorf("%q: %v", id, fail)
		}
	}
	for _, id := range []string{
		"*", ">", "a.*", "a.>", ".", "..", "a..b", "", ".a", "a.", " ", "a b", "a ", "\ta", "a\x00", "a\nb", "a\r", "$SYS", "$JS", "$", "_INBOX", "_INBOX_x",
		"_AUTH_INBOX", strings.Repeat("x", 129), strings.Repeat("x", 300), "e\u0301", "a\u202eb", "a\u200bb", "a\u00a0b", "\u2028", "a\u2066b", "\ufeffa", "a*", "a>b",
		// Seen by nobody, and neither white space nor formatting to Unicode: joiner, fillers, variation selectors, Braille's blank.
		"a\u034fb", "a\u115fb", "a\u3164", "\uffa0a", "a\ufe0f", "a\U000e0100", "a\u180b", "a\u17b4", "a\u2800",
	} {
		if _, fail := p.Decide(withDevice(t, id), rules.Context{}); code(fail) != wire.VariableInvalid {
			t.Errorf("%q: got %v, want variable_invalid", id, fail)
		}
	}
	for _, claims := range []string{`{}`, `{"device_id":null}`, `{"device_id":7}`, `{"device_id":["a"]}`, `{"device_id":["a","b"]}`, `{"device_id":{"a":1}}`, `{"device_id":true}`} {
		if _, fail := p.Decide(request(claims), rules.Context{}); code(fail) != wire.VariableUnresolved {
			t.Errorf("%s: got %v, want variable_unresolved", claims, fail)
		}
	}
}

func TestConditions(t *testing.T) {
	for _, tt := range []struct {
		when   string
		claims string
		want   wire.Code
	}{
		{`"device" in roles`, `{}`, 0},
		{`"admin" in roles`, `{}`, wire.NoMatchingRule},
		{`issuer == "https://id.example.com" && subject == "7"`, `{}`, 0},
		{`claims.level == 3`, `{"level":3}`, 0},
		{`claims.level > 3`, `{"level":1e999}`, wire.RuleFailed}, // out of range is no number
		{`claims.level == 3`, `{"level":1e999}`, wire.NoMatchingRule},
		{`claims.id == 400938672414788646`, `{"id":400938672414788646}`, 0},
		{`claims.id == 400938672414788647`, `{"id":400938672414788646}`, wire.NoMatchingRule},
		{`has(claims.tenant) && claims.tenant == "a"`, `{}`, wire.NoMatchingRule},
		{`claims.tenant == "a"`, `{}`, wire.RuleFailed},
		{`claims.admin`, `{"admin":true}`, 0},
		{`claims.admin`, `{"admin":"yes"}`, wire.RuleFailed},
		{`claims.list.exists(x, x == "b")`, `{"list":["a","b"]}`, 0},
		{`client.tls.subject == "" && client.type == ""`, `{}`, 0},
		{`claims.l.all(a, claims.l.all(b, claims.l.all(c, a + b + c >= 0)))`, `{"l":[` + strings.Repeat("1,", 199) + `1]}`, wire.RuleFailed},
	} {
		p := mustCompile(t, fmt.Sprintf("rules:\n  - name: r\n    when: %q\n    publish: {allow: [a]}\n", tt.when))
		if _, fail := p.Decide(request(tt.claims), rules.Context{}); code(fail) != tt.want {
			t.Errorf("%s with %s: got %v, want %v", tt.when, tt.claims, fail, tt.want)
		}
	}
}

func TestFirstMatchWins(t *testing.T) {
	p := mustCompile(t, `
rules:
  - {name: one, when: 'has(claims.a)', publish: {allow: [one]}}
  - {name: two, when: 'has(claims.b)', publish: {allow: [two]}}
  - {name: rest, when: 'true', subscribe: {allow: [rest, "q queue"], deny: [rest.secret]}, allow_responses: {}, max_session: 1h}
`)
	for claims, want := range map[string]string{`{"a":1,"b":1}`: "one", `{"b":1}`: "two", `{}`: "rest"} {
		if g, fail := p.Decide(request(claims), rules.Context{}); fail != nil || g.Rule != want {
			t.Errorf("%s: %+v %v, want %s", claims, g, fail, want)
		}
	}
	g, _ := p.Decide(request(`{}`), rules.Context{})
	if len(g.Publish.Allow) != 0 || g.Subscribe.Allow[1] != "q queue" || g.Responses.Max != 1 || g.Responses.TTLMillis != 5000 || g.MaxSessionSeconds != 3600 {
		t.Errorf("grant %+v", g)
	}
}

// TestFailedConditionDenies: a condition that fails must not hand the login to a rule further on.
func TestFailedConditionDenies(t *testing.T) {
	p := mustCompile(t, `
rules:
  - {name: quarantine, when: 'claims.blocked == true', publish: {allow: [nothing]}}
  - {name: rest, when: 'true', publish: {allow: [everything]}}
`)
	if _, fail := p.Decide(request(`{}`), rules.Context{}); code(fail) != wire.RuleFailed {
		t.Errorf("got %v", fail)
	}
}

func TestCompileReportsEverything(t *testing.T) {
	const ok = "rules:\n  - {name: r, when: 'true', publish: {allow: [a]}}\n"
	for _, tt := range []struct {
		name, text string
		want       []string // LINE:COLUMN: KEY
	}{
		{"good", ok, nil},
		{"empty", "", []string{"rules"}},
		{"comments only", "# rules\n", []string{"rules"}},
		{"unknown key", ok + "rule: []\n", []string{"3:1: rule"}},
		{"unknown key in a rule", "rules:\n  - {name: r, when: 'true', publish: {alow: [a]}}\n", []string{"2:39: rules[0].publish.alow", "2:5: rules[0]"}},
		{"neither publish nor subscribe", "rules:\n  - {name: r, when: 'true'}\n", []string{"2:5: rules[0]"}},
		{"no name, no condition", "rules:\n  - {publish: {allow: [a]}}\n", []string{"2:5: rules[0].name", "2:5: rules[0].when"}},
		{"two of a name", "rules:\n  - {name: r, when: 'true', publish: {allow: [a]}}\n  - {name: r, when: 'true', publish: {allow: [a]}}\n", []string{"3:6: rules[1].name", "3:5: rules[1]"}},
		{"variable unused", "variables: {x: {from: [a]}}\n" + ok, []string{"1:13: variables.x"}},
		{"variable without claims", "variables: {x: {}}\nrules:\n  - {name: r, when: 'true', publish: {allow: ['a.{x}']}}\n", []string{"1:13: variables.x.from"}},
		{"variable undefined", "rules:\n  - {name: r, when: 'true', publish: {allow: ['a.{x}']}}\n", []string{"2:47: rules[0].publish.allow[0]"}},
		{"not CEL", "rules:\n  - {name: r, when: 'device in', publish: {allow: [a]}}\n", []string{"2:15: rules[0].when"}},
		{"CEL of text", "rules:\n  - {name: r, when: 'issuer', publish: {allow: [a]}}\n", []string{"2:15: rules[0].when"}},
		{"CEL with an unknown name", "rules:\n  - {name: r, when: 'role == \"a\"', publish: {allow: [a]}}\n", []string{"2:15: rules[0].when"}},
		{"bad subjects", "rules:\n  - name: r\n    when: 'true'\n    publish: {allow: ['a..b', 'a.>.b', 'a*', '', 'a b', '{x', 'x}', '{}', \"a\\tb\", '.a']}\n",
			[]string{"4:23: rules[0].publish.allow[0]", "4:31: rules[0].publish.allow[1]", "4:40: rules[0].publish.allow[2]", "4:46: rules[0].publish.allow[3]", "4:50: rules[0].publish.allow[4]",
				"4:57: rules[0].publish.allow[5]", "4:63: rules[0].publish.allow[6]", "4:69: rules[0].publish.allow[7]", "4:75: rules[0].publish.allow[8]", "4:83: rules[0].publish.allow[9]", "2:5: rules[0]"}},
		{"wildcard beside a variable", "variables: {x: {from: [a]}}\nrules:\n  - {name: r, when: 'true', publish: {allow: ['{x}*', 'b.{x}']}}\n", []string{"3:47: rules[0].publish.allow[0]"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, _, err := rules.Compile("rules.yaml", []byte(tt.text))
			var problems config.Problems
			if err != nil && !errors.As(err, &problems) {
				t.Fatal(err)
			}
			got := map[string]bool{}
			for _, p := range problems {
				at := p.Key
				if p.Line > 0 {
					at = fmt.Sprintf("%d:%d: %s", p.Line, p.Column, p.Key)
				}
				got[at] = true
			}
			for _, want := range tt.want {
				if !got[want] {
					t.Errorf("missing %q", want)
				}
				delete(got, want)
			}
			if len(got) > 0 {
				t.Errorf("unexpected %v in\n%v", got, err)
			}
		})
	}
}

func TestManySubjects(t *testing.T) {
	text := "rules:\n  - name: r\n    when: 'true'\n    publish: {allow: [" + strings.Repeat("a, ", 10_000) + "a]}\n"
	if _, _, err := rules.Compile("rules.yaml", []byte(text)); err == nil || !strings.Contains(err.Error(), "10001 subjects") {
		t.Errorf("got %v", err)
	}
}

func FuzzCompile(f *testing.F) {
	f.Add(reference)
	f.Add("variables: {x: {from: [a.b]}}\nrules:\n  - {name: r, when: 'claims.x > 1', subscribe: {allow: ['{x}.* q']}}\n")
	f.Fuzz(func(_ *testing.T, text string) {
		p, _, err := rules.Compile("rules.yaml", []byte(text))
		if err != nil {
			return
		}
		_, _ = p.Decide(request(`{"device_id":"a","a":{"b":"c"}}`), rules.Context{}) // must not panic, whatever it answers
	})
}
