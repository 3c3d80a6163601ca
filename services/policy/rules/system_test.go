package rules_test

import (
	"fmt"
	"strings"
	"testing"

	"harmony.internal/authcallout/services/policy/rules"
)

// TestLintSystem: a rule that reaches the services' own subjects, or a bucket that says who is admitted, is warned of at its
// place; others are not.
func TestLintSystem(t *testing.T) {
	const variables = "variables: {device_id: {from: [sub]}}\n"
	rule := func(text string) string {
		return variables + "rules: [{name: r, when: 'vars.device_id != \"\"', " + text + "}]"
	}
	publish := func(subject string) string {
		return rule("broad: true, publish: {allow: ['" + subject + "']}, subscribe: {}")
	}
	system := rules.System{Buckets: []string{"policy", "devices"}}
	const at, bucket, internal, answers = "2:80: rules[0].publish.allow[0]", "says who is admitted: in an account", "belongs to the services", "says who is admitted; keep it"
	for _, tt := range []struct {
		name, text string
		system     rules.System
		want       map[string]string // a part of each warning by place
	}{
		{"everything", publish(">"), system, map[string]string{at: "$KV.policy.> of bucket policy", "2:9: rules[0]": answers}},
		{"all keys", publish("$KV.>"), system, map[string]string{at: bucket}},
		{"all buckets", publish("$KV.*.rules"), system, map[string]string{at: bucket}},
		{"a bucket by name", publish("$KV.devices.id.x"), system, map[string]string{at: "of bucket devices"}},
		{"another bucket", publish("$KV.policy2.>"), system, nil},
		{"a bucket's stream", publish("$JS.API.STREAM.PURGE.KV_policy"), system, map[string]string{at: "$JS.API.STREAM.PURGE.KV_policy of", "2:9: rules[0]": answers}},
		{"a bucket's stream by its domain", publish("$JS.hub.API.STREAM.MSG.DELETE.KV_policy"), system, map[string]string{at: "MSG.DELETE.KV_policy of", "2:9: rules[0]": answers}},
		{"every stream", publish("$JS.API.STREAM.DELETE.*"), system, map[string]string{at: "STREAM.DELETE.KV_policy of", "2:9: rules[0]": answers}},
		{"no buckets", publish("$KV.>"), rules.System{}, nil},
		{"a bucket that the device names", rule("inbox: private, kv: [{bucket: '{device_id}', keys: [rules], access: [write]}]"), system, map[string]string{"2:101: rules[0].kv[0].keys[0]": bucket, "2:9: rules[0]": answers}},
		{"a bucket that the device cannot name", rule("inbox: private, kv: [{bucket: 'x-{device_id}', keys: [rules], access: [write]}]"), system, map[string]string{"2:9: rules[0]": answers}},
		{"requests to JetStream", rule("inbox: private, kv: [{bucket: b, keys: ['{device_id}'], access: [read]}]"), system, map[string]string{"2:9: rules[0]": answers}},
		{"acknowledgements of JetStream", rule("inbox: private, streams: [{publish: ['state.{device_id}']}]"), system, map[string]string{"2:9: rules[0]": answers}},
		{"no requests", rule("publish: {allow: ['state.{device_id}']}, subscribe: {}"), system, nil},
		{"what is denied", rule("broad: true, publish: {allow: ['$KV.>'], deny: ['$KV.policy.>', '$KV.devices.>']}, subscribe: {}"), system, nil},
		{"what is denied in part", rule("broad: true, publish: {allow: ['$KV.>'], deny: ['$KV.policy.>', '$KV.devices.id.x']}, subscribe: {}"), system, map[string]string{at: "of bucket devices"}},

		{"an internal subject", publish("auth.v1.policy.explain"), rules.System{}, map[string]string{at: internal}},
		{"all internal subjects", publish("auth.>"), rules.System{}, map[string]string{at: internal}},
		{"a server's kick", publish("auth.kick.*"), rules.System{}, map[string]string{at: internal}},
		{"an internal subject by a variable", publish("auth.v1.token.{device_id}"), rules.System{}, map[string]string{at: internal}},
		{"an internal subject to subscribe to", rule("publish: {}, subscribe: {allow: ['auth.v1.decision.*']}"), rules.System{}, map[string]string{"2:82: rules[0].subscribe.allow[0]": internal}},
		{"an internal subject through a stream", rule("inbox: shared, streams: [{publish: ['auth.v1.x']}]"), rules.System{}, map[string]string{"2:85: rules[0].streams[0].publish[0]": internal}},
		{"another subject of that prefix", publish("auth.v2.x"), rules.System{}, nil},
		{"the same below another prefix", publish("auth.v1.policy.explain"), rules.System{SubjectPrefix: "sso"}, nil},
		{"an internal subject of another prefix", publish("sso.v1.policy.explain"), rules.System{SubjectPrefix: "sso"}, map[string]string{at: internal}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, warnings, err := tt.system.Compile("rules.yaml", []byte(tt.text))
			if err != nil {
				t.Fatal(err)
			}
			got := map[string]string{}
			for _, w := range warnings {
				if strings.Contains(w.Message, "says who is admitted") || strings.Contains(w.Message, internal) {
					got[fmt.Sprintf("%d:%d: %s", w.Line, w.Column, w.Key)] += w.Message
				}
			}
			for place, want := range tt.want {
				if !strings.Contains(got[place], want) {
					t.Errorf("at %s want %q in %q", place, want, got)
				}
			}
			if len(got) != len(tt.want) {
				t.Errorf("got %q", got)
			}
		})
	}
}
