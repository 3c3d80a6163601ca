package natsx_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"harmony.internal/authcallout/shared/config"
	"harmony.internal/authcallout/shared/natsx"
)

// file is a configuration file with nothing but the nats part.
type file struct {
	NATS natsx.Config `yaml:"nats"`
}

func (f *file) SetDefaults()           { f.NATS.SetDefaults() }
func (f *file) Check(r *config.Report) { f.NATS.Check("nats", r) }

func TestConfig(t *testing.T) {
	for name, test := range map[string]struct{ yaml, key string }{
		"empty: everybody's server":  {"nats: {}", ""},
		"good":                       {"nats: { urls: ['nats://127.0.0.1:4222', 'tls://b:4222'], user: auth, password_file: secret }", ""},
		"a password in the URL":      {"nats: { urls: ['nats://auth:hunter2@a:4222'] }", "nats.urls[0]"},
		"no scheme":                  {"nats: { urls: ['nats://a:4222', 'a:4222'] }", "nats.urls[1]"},
		"another scheme":             {"nats: { urls: ['http://a:4222'] }", "nats.urls[0]"},
		"two ways":                   {"nats: { user: auth, password_file: secret, nkey_seed_file: secret }", "nats"},
		"a user without a password":  {"nats: { user: auth }", "nats.user"},
		"a file that is not there":   {"nats: { nkey_seed_file: missing }", "nats.nkey_seed_file"},
		"a CA that is not there":     {"nats: { tls: { ca_file: missing } }", "nats.tls.ca_file"},
		"a certificate without key":  {"nats: { tls: { cert_file: secret } }", "nats.tls.cert_file"},
		"a prefix with two tokens":   {"nats: { subject_prefix: a.b }", "nats.subject_prefix"},
		"a prefix that is everybody": {"nats: { subject_prefix: '>' }", "nats.subject_prefix"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for name, text := range map[string]string{"config.yaml": test.yaml, "secret": "hunter2"} {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			var f file
			_, err := config.Load(filepath.Join(dir, "config.yaml"), &f)
			switch {
			case test.key == "" && err != nil:
				t.Error(err)
			case test.key != "" && (err == nil || !strings.Contains(err.Error(), " "+test.key+": ")):
				t.Errorf("got %v, want a problem at %s", err, test.key)
			case err != nil && strings.Contains(err.Error(), "hunter2"):
				t.Error("the problem repeats a password")
			}
		})
	}
}
