package rules_test

import (
	"fmt"
	"strings"
	"testing"

	"harmony.internal/authcallout/services/policy/rules"
)

// manyRules is 1,000 rules, of which each but the last has a condition of its own; the last one is for role device.
func manyRules(condition string) string {
	var b strings.Builder
	b.WriteString("variables: { device_id: { from: [device_id] } }\nrules:\n")
	for i := range 999 {
		when := fmt.Sprintf(condition, i)
		fmt.Fprintf(&b, "  - {name: r%d, when: '%s', publish: {allow: ['s%d.{device_id}']}, subscribe: {}}\n", i, when, i)
	}
	b.WriteString("  - {name: last, when: '\"device\" in roles', publish: {allow: ['state.{device_id}']}, subscribe: {}}\n")
	return b.String()
}

// BenchmarkDecide is one decision: by a few rules, by the last of 1,000 that ask for roles, and by the last of 1,000 that
// the index cannot tell apart.
func BenchmarkDecide(b *testing.B) {
	for _, bench := range []struct{ name, text string }{
		{"reference", reference}, {"1000 roles", manyRules(`"role-%d" in roles`)}, {"1000 claims", manyRules(`claims.tenant == "tenant-%d"`)},
		{"1000 not told apart", manyRules(`claims.tenant.startsWith("tenant-%d")`)},
	} {
		b.Run(bench.name, func(b *testing.B) {
			p := mustCompile(b, bench.text)
			q := request(`{"device_id":"sensor-a","tenant":"none","sub":"400938672414788646","client_id":"sensor-a","aud":["400938672314125350"],"exp":1795517272,"urn:zitadel:iam:org:project:400938672314125350:roles":{"device":{"400938383779630118":"zitadel.localhost"}}}`)
			b.ReportAllocs()
			for b.Loop() {
				if _, fail := p.Decide(q, rules.Context{}); fail != nil {
					b.Fatal(fail)
				}
			}
		})
	}
}

// BenchmarkCompile is what taking over a policy of 1,000 rules costs.
func BenchmarkCompile(b *testing.B) {
	text := []byte(manyRules(`"role-%d" in roles`))
	for b.Loop() {
		if _, _, err := rules.Compile("rules.yaml", text); err != nil {
			b.Fatal(err)
		}
	}
}
