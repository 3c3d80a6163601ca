package policy

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"harmony.internal/authcallout/shared/config"
)

// TestRulesThatGiveTheBucketsAway: -check-config and the log say where rules reach the buckets of this very configuration,
// and subjects of its prefix.
func TestRulesThatGiveTheBucketsAway(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	write("rules.yaml", "rules:\n  - {name: r, when: 'true', broad: true, publish: {allow: ['$KV.>', sso.v1.x]}, subscribe: {}}\n")
	var cfg Config
	warnings, err := config.Load(write("policy.yaml", "nats: {subject_prefix: sso}\npolicy_file: rules.yaml\nregistry: {mode: pin, bucket: owners}\n"), &cfg)
	if err != nil {
		t.Fatal(err)
	}
	core, logs := observer.New(zap.WarnLevel)
	if _, err := New(&cfg, Deps{Log: zap.New(core), Version: "1.0.0"}); err != nil {
		t.Fatal(err)
	}
	logged := ""
	for _, e := range logs.All() {
		logged += e.ContextMap()["problem"].(string) + "\n"
	}
	for _, want := range []string{
		`rules.yaml:2:60: warning: rules[0].publish.allow[0]: "$KV.>" reaches $KV.owners.> of bucket owners`,
		`rules.yaml:2:69: warning: rules[0].publish.allow[1]: "sso.v1.x" reaches sso.v1.>`,
	} {
		for where, text := range map[string]string{"warnings": config.Problems(warnings).Error(), "log": logged} {
			if !strings.Contains(text, want) {
				t.Errorf("no %q in the %s\n%s", want, where, text)
			}
		}
	}
}
