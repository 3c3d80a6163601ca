package command_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"harmony.internal/authcallout/services/policy/command"
	"harmony.internal/authcallout/shared/run"
)

const zitadel = "../profiles/zitadel/"

func write(t *testing.T, name, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestCommands(t *testing.T) {
	broken := write(t, "broken.yaml", "rules:\n  - {name: r, when: 'tru', publish: {allow: ['>']}}\n")
	wider := write(t, "wider.yaml", "variables: {device_id: {from: [sub]}}\nrules:\n  - {name: device, when: '\"device\" in roles', account: DEVICES, publish: {allow: [\"device-state.{device_id}\", news]}, subscribe: {allow: [\"device-commands.{device_id}\"]}, inbox: private, max_session: 1h}\n")
	failing := write(t, "tests.yaml", "tests:\n  - {name: too much, token: {roles: [device], claims: {sub: a}}, expect: {rule: device, publish: [device-state.b]}}\n")
	request := write(t, "request.json", `{"token":{"issuer":"i","subject":"a","expires_at":1,"roles":["device"],"claims":{"sub":"a"}},"client":{}}`)
	stranger := write(t, "stranger.json", `{"token":{"issuer":"i","subject":"b","expires_at":1,"claims":{"sub":"b"}},"client":{}}`)
	recorded := `{"token":{"issuer":"i","subject":"a","expires_at":1,"roles":["device"],"claims":{"sub":"a"}},"client":{},"handed_on":{"check_us":9}}` + "\n\n" +
		`{"token":{"issuer":"i","subject":"b","expires_at":1,"claims":{"sub":"b"}},"client":{}}` + "\n"
	records := write(t, "records.jsonl", recorded)
	for _, tt := range []struct {
		name string
		args []string
		code int
		want []string // in what is printed
	}{
		{"check", []string{"check", zitadel + "rules.yaml"}, run.ExitOK, []string{"good, 1 rules, hash "}},
		{"check a broken file", []string{"check", broken}, run.ExitUsage, []string{"broken.yaml:2:15: rules[0].when", "broken.yaml:2:46: rules[0].publish.allow[0]", "warning"}},
		{"check nothing", []string{"check"}, run.ExitUsage, []string{"usage: policy check RULES"}},
		{"the shipped rules pass their tests", []string{"test", "-v", zitadel + "rules.yaml", zitadel + "rules_test.yaml"}, run.ExitOK, []string{"--- PASS: a device with the role", "8 passed, 0 failed, coverage: 1 of 1 rules"}},
		{"a failing test", []string{"test", zitadel + "rules.yaml", failing}, run.ExitFailure, []string{"--- FAIL: too much", `may not publish "device-state.b" (no allow entry covers it), want may`}},
		{"explain", []string{"explain", "-publish", "device-state.a", "-publish", "x", zitadel + "rules.yaml", request}, run.ExitOK,
			[]string{"rule device               matched", "device_id        a, from sub", "may it publish device-state.a? yes", "may it publish x? no"}},
		{"explain a refusal", []string{"explain", zitadel + "rules.yaml", stranger}, run.ExitFailure, []string{`does not hold: "device" in roles`, "refused: no_matching_rule"}},
		{"diff of the same", []string{"diff", wider, wider, "--records", records}, run.ExitOK, []string{"2 requests, 0 decided differently"}},
		{"diff", []string{"diff", "-records", records, zitadel + "rules.yaml", wider}, run.ExitFailure, []string{"i a: gains publish allow news", "2 requests, 1 decided differently"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			if code := command.Run(t.Context(), tt.args, &out, &out); code != tt.code {
				t.Errorf("exit %d, want %d", code, tt.code)
			}
			for _, want := range tt.want {
				if !strings.Contains(out.String(), want) {
					t.Errorf("missing %q", want)
				}
			}
			if t.Failed() {
				t.Log(out.String())
			}
		})
	}
}
