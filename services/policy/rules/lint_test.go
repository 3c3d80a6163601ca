package rules_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"harmony.internal/authcallout/services/policy/rules"
	"harmony.internal/authcallout/shared/config"
)

// TestLint is every finding of the linter with its place. An error refuses the file, a warning does not.
func TestLint(t *testing.T) {
	const one = "rules: [{name: r, when: 'true', %s}]"
	rule := func(text string) string { return fmt.Sprintf(one, text) }
	device := func(text string) string { return "variables: {device_id: {from: [sub]}}\n" + rule(text) }
	after := func(first, second string) string {
		return "rules:\n  - {name: r, when: '" + first + "', publish: {allow: [a]}, subscribe: {}}\n  - {name: s, when: '" + second + "', publish: {allow: [b]}, subscribe: {}}\n"
	}
	origin := func(from string) string {
		return "variables: {device_id: {from: ['" + from + "']}}\n" + rule("publish: {allow: ['a.{device_id}']}, subscribe: {}")
	}
	const failure, warning = "error", "warning"
	for _, tt := range []struct{ name, text, at, severity, want string }{
		{"publish left out", rule("subscribe: {allow: [a]}"), "1:9: rules[0].publish", warning, "publish: {} if that is meant"},
		{"subscribe left out", rule("publish: {allow: [a]}"), "1:9: rules[0].subscribe", warning, "subscribe: {} if that is meant"},
		{"a side with deny alone", rule("publish: {allow: [a]}, subscribe: {deny: [b]}"), "1:56: rules[0].subscribe", warning, "allows nothing"},
		{"both sides empty", rule("publish: {}, subscribe: {}"), "1:9: rules[0]", failure, "grants nothing"},
		{"everything", rule("publish: {allow: ['>']}, subscribe: {}"), "1:51: rules[0].publish.allow[0]", failure, "broad: true"},
		{"everything to subscribe", rule("publish: {}, subscribe: {allow: [a, '>']}"), "1:69: rules[0].subscribe.allow[1]", failure, "broad: true"},
		{"everything in a queue group", rule("publish: {}, subscribe: {allow: ['> q']}"), "1:66: rules[0].subscribe.allow[0]", failure, "broad: true"},
		{"a wildcard first", rule("publish: {allow: ['*.state']}, subscribe: {}"), "1:51: rules[0].publish.allow[0]", failure, "begins with a wildcard"},
		{"everything through a stream", rule("streams: [{publish: ['>']}], inbox: shared"), "1:54: rules[0].streams[0].publish[0]", failure, "begins with a wildcard"},
		{"server's own", rule("publish: {}, subscribe: {allow: ['$SYS.>']}"), "1:66: rules[0].subscribe.allow[0]", failure, "is reserved"},
		{"JetStream by hand", rule("publish: {allow: ['$JS.API.>']}, subscribe: {}"), "1:51: rules[0].publish.allow[0]", failure, "is reserved"},
		{"JetStream through a stream", rule("streams: [{publish: ['$JS.API.>']}], inbox: shared"), "1:54: rules[0].streams[0].publish[0]", failure, "is reserved"},
		{"inboxes of others", rule("publish: {}, subscribe: {allow: ['_INBOX_x.>']}"), "1:66: rules[0].subscribe.allow[0]", failure, "is reserved"},
		{"inboxes of the services", rule("publish: {}, subscribe: {allow: ['_AUTH_INBOX.>']}"), "1:66: rules[0].subscribe.allow[0]", failure, "is reserved"},
		{"the shared inbox", rule("publish: {}, subscribe: {allow: ['_INBOX.>']}"), "1:66: rules[0].subscribe.allow[0]", warning, "inbox: private"},
		{"a variable first", device("publish: {allow: ['{device_id}.a']}, subscribe: {}"), "2:51: rules[0].publish.allow[0]", warning, "begins with a variable"},
		{"two variables in a token", "variables: {x: {from: [a]}, y: {from: [b]}}\n" + rule("publish: {allow: ['a.{x}-{y}', 'b.{x}.{y}']}, subscribe: {}"), "2:51: rules[0].publish.allow[0]", failure, "put a dot between"},
		{"undefined variable", rule("publish: {allow: ['a.{x}']}, subscribe: {}"), "1:51: rules[0].publish.allow[0]", failure, `there is no variable "x"`},
		{"undefined variable in a condition", "rules: [{name: r, when: 'vars.x == \"a\"', publish: {allow: [a]}, subscribe: {}}]", "1:19: rules[0].when", failure, `there is no variable "x"`},
		{"undefined variable in a macro", rule("kv: [{bucket: b, keys: ['{x}'], access: [read]}], inbox: shared"), "1:57: rules[0].kv[0].keys[0]", failure, `there is no variable "x"`},
		{"unused variable", "variables: {device_id: {from: [sub]}}\n" + rule("publish: {allow: [a]}, subscribe: {}"), "1:13: variables.device_id", failure, "no subject and no condition uses it"},
		{"two of a name", "rules:\n  - {name: r, when: 'has(claims.a)', publish: {allow: [a]}, subscribe: {}}\n  - {name: r, when: 'has(claims.b)', publish: {allow: [b]}, subscribe: {}}\n", "3:6: rules[1].name", failure, "names two rules"},
		{"after a rule for all", after("true", "has(claims.a)"), "3:5: rules[1]", failure, "rule r before it always does"},
		{"after a rule for all, computed", after("1 + 1 == 2", "has(claims.a)"), "3:5: rules[1]", failure, "rule r before it always does"},
		{"the same condition", after("has(claims.a)", "has( claims.a )"), "3:15: rules[1].when", failure, "has the same condition"},
		{"the same condition in another order", after(`has(claims.a) && issuer == "x"`, `issuer == "x" && has(claims.a)`), "3:15: rules[1].when", failure, "has the same condition"},
		{"narrower than one before", after(`"device" in roles`, `has(claims.a) && "device" in roles`), "3:15: rules[1].when", failure, "for it asks for less"},
		{"never", "rules: [{name: r, when: 'false', publish: {allow: [a]}, subscribe: {}}]", "1:19: rules[0].when", failure, "can never apply"},
		{"never, computed", "rules: [{name: r, when: '1 > 2', publish: {allow: [a]}, subscribe: {}}]", "1:19: rules[0].when", failure, "can never apply"},
		{"too large", "variables: {x: {from: [a], list: true, max_items: 256}}\n" + rule("publish: {allow: ['a.{x}', 'b.{x}', 'c.{x}']}, subscribe: {allow: ['a.{x}', 'b.{x}']}"), "2:9: rules[0]", failure, "user JWT of"},
		{"too many subjects", "variables: {x: {from: [a], list: true, max_items: 256, max_length: 1}}\n" + rule("subscribe: {}, publish: {allow: ["+strings.Repeat("'a.{x}', ", 17)+"a]}"), "2:9: rules[0]", failure, "can stand for 4353 subjects"},
		{"chosen by the client", "variables: {x: {from: ['untrusted:user']}}\n" + rule("publish: {allow: ['a.{x}']}, subscribe: {}"), "1:24: variables.x.from[0]", warning, "the client chooses this value"},
		{"client name in a condition", "rules: [{name: r, when: 'client.name == \"a\"', publish: {allow: [a]}, subscribe: {}}]", "1:19: rules[0].when", warning, "proves nothing"},
		{"unknown member of client", "rules: [{name: r, when: 'client.nmae == \"a\"', publish: {allow: [a]}, subscribe: {}}]", "1:19: rules[0].when", failure, "no such member"},
		{"a device id that a user can change", origin("client_id"), "1:32: variables.device_id.from[0]", warning, "can change its own client_id"},
		{"a device id from metadata", origin("metadata:device"), "1:32: variables.device_id.from[0]", warning, "writes its own metadata"},
		{"a device id from the metadata claim", origin("urn:zitadel:iam:user:metadata.device"), "1:32: variables.device_id.from[0]", warning, "writes its own metadata"},
		{"unknown origin", "variables: {x: {from: ['tls:cn']}}\n" + rule("publish: {allow: ['a.{x}']}, subscribe: {}"), "1:24: variables.x.from[0]", failure, "comes one of dns"},
		{"pattern that is no RE2", "variables: {x: {from: [a], pattern: '(?=a)'}}\n" + rule("publish: {allow: ['a.{x}']}, subscribe: {}"), "1:28: variables.x.pattern", failure, "invalid or unsupported Perl syntax"},
		{"macro without an inbox", device("kv: [{bucket: b, keys: ['{device_id}'], access: [read]}], subscribe: {}"), "2:9: rules[0].inbox", failure, "is required beside kv"},
		{"JetStream's answers", device("kv: [{bucket: b, keys: ['{device_id}'], access: [read]}], inbox: private"), "2:9: rules[0]", warning, "does not check where answers go"},
		{"a bucket that one can empty", device("kv: [{bucket: b, keys: ['{device_id}'], access: [write]}], inbox: private"), "2:73: rules[0].kv[0].access", warning, "Nats-Rollup: all"},
		{"consumers that one can turn", device("kv: [{bucket: b, keys: ['{device_id}'], access: [watch]}], inbox: private"), "2:73: rules[0].kv[0].access", warning, "make none with another"},
		{"one key for all to write", rule("kv: [{bucket: b, keys: [x], access: [write]}], inbox: shared"), "1:57: rules[0].kv[0].keys[0]", warning, "write each other's"},
		{"one consumer for all", rule("inbox: shared, consumers: [{stream: S, name: c}]"), "1:72: rules[0].consumers[0].name", warning, "take each other's"},
		{"one object store for all", rule("inbox: shared, object_stores: [{bucket: b, access: [read]}]"), "1:65: rules[0].object_stores[0].bucket", warning, "the objects of all"},
		{"a wildcard for a bucket", device("inbox: private, kv: [{bucket: '*', keys: ['{device_id}'], access: [read]}]"), "2:55: rules[0].kv[0].bucket", failure, "must be one name"},
		{"a wildcard for a stream", device("inbox: private, consumers: [{stream: '>', name: 'x-{device_id}'}]"), "2:62: rules[0].consumers[0].stream", failure, "must be one name"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, warnings, err := rules.Compile("rules.yaml", []byte(tt.text))
			var problems config.Problems
			if err != nil && !errors.As(err, &problems) {
				t.Fatal(err)
			}
			if (err != nil) != (tt.severity == failure) {
				t.Errorf("got error %v, want %s", err, tt.severity)
			}
			if tt.severity == warning {
				problems = warnings
			}
			for _, p := range problems {
				if fmt.Sprintf("%d:%d: %s", p.Line, p.Column, p.Key) == tt.at && strings.Contains(p.Message, tt.want) && p.Warning == (tt.severity == warning) && p.File == "rules.yaml" {
					return
				}
			}
			t.Errorf("no %s at %s with %q in\n%v", tt.severity, tt.at, tt.want, problems)
		})
	}
}

// TestBroad: what is refused without it is taken with it.
func TestBroad(t *testing.T) {
	for _, subject := range []string{">", "*.state", "$SYS.REQ.USER.INFO", "_INBOX_x.>"} {
		mustCompile(t, "rules: [{name: r, when: 'true', broad: true, publish: {allow: ['"+subject+"']}, subscribe: {}}]")
	}
}
