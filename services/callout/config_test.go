package callout

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nkeys"

	"harmony.internal/authcallout/shared/config"
)

// configured writes text as callout.yaml beside good seed files.
func configured(t *testing.T, text string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range map[string][]byte{
		"issuer.nk":   must(must(nkeys.CreateAccount()).Seed()),
		"user.nk":     must(must(nkeys.CreateUser()).Seed()),
		"callout.xk":  must(must(nkeys.CreateCurveKeys()).Seed()),
		"secret":      []byte("s3cr3t"),
		"callout.yml": []byte(text),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "callout.yml")
}

const minimal = "nats: {urls: [\"nats://127.0.0.1:4222\"], user: auth, password_file: secret}\nissuer_seed_file: issuer.nk\n"

func TestConfig(t *testing.T) {
	cfg := &Config{}
	warnings, err := config.Load(configured(t, minimal+"xkey_seed_file: callout.xk\n"), cfg)
	if err != nil || len(warnings) != 0 {
		t.Fatalf("warnings %v, error %v", warnings, err)
	}
	if cfg.Account != "DEVICES" || cfg.ClientPatience != defaultPatience || cfg.MaxInFlight != 4096 || cfg.hash() == "" {
		t.Errorf("defaults are %+v", cfg)
	}
	if _, err := New(cfg, Deps{}); err != nil {
		t.Error(err)
	}
	other := *cfg
	other.Account = "FLEET"
	if other.hash() == cfg.hash() {
		t.Error("two configurations have one hash")
	}
	if warnings, err := config.Load(configured(t, minimal), &Config{}); err != nil || len(warnings) != 1 || warnings[0].Key != "xkey_seed_file" {
		t.Errorf("without xkey: warnings %v, error %v", warnings, err)
	}
}

func TestConfigRefuses(t *testing.T) {
	for _, row := range []struct{ name, text, key string }{
		{"no issuer", "nats: {}\n", "issuer_seed_file"},
		{"issuer's file missing", "issuer_seed_file: none\n", "issuer_seed_file"},
		{"issuer is a user's seed", "issuer_seed_file: user.nk\n", "issuer_seed_file"},
		{"issuer is no seed", "issuer_seed_file: secret\n", "issuer_seed_file"},
		{"xkey is an account's seed", minimal + "xkey_seed_file: issuer.nk\n", "xkey_seed_file"},
		{"account", minimal + "account: \"a b\"\n", "account"},
		{"the system account by its default name", minimal + "allowed_accounts: [$SYS]\n", "allowed_accounts[0]"},
		{"patience too short", minimal + "client_patience: 100ms\n", "client_patience"},
		{"patience too long", minimal + "client_patience: 2h\n", "client_patience"},
		{"budget", minimal + "max_budget: 200ms\n", "max_budget"},
		{"leeway", minimal + "clock_leeway: 1500ms\n", "clock_leeway"},
		{"session", minimal + "max_session: 1s\n", "max_session"},
		{"spread", minimal + "session_spread: -1s\n", "session_spread"},
		{"in flight", minimal + "max_in_flight: -1\n", "max_in_flight"},
		{"waiting", minimal + "max_waiting: -1\n", "max_waiting"},
		{"user JWT", minimal + "max_user_jwt_bytes: 1048576\n", "max_user_jwt_bytes"},
		{"unknown key", minimal + "max_inflight: 1\n", "max_inflight"},
		{"log", minimal + "log: {level: loud}\n", "log.level"},
		{"nats", minimal + "nats_url: x\n", "nats_url"},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, err := config.Load(configured(t, row.text), &Config{})
			problems, ok := err.(config.Problems) //nolint:errorlint // Load's own type
			if !ok {
				t.Fatalf("error %v", err)
			}
			found := false
			for _, p := range problems {
				found = found || p.Key == row.key
			}
			if !found {
				t.Errorf("no problem at %s in\n%v", row.key, err)
			}
			if strings.Contains(err.Error(), "s3cr3t") {
				t.Error("the error holds a secret")
			}
		})
	}
}
