package config_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"harmony.internal/authcallout/shared/config"
)

type server struct {
	URLs []string    `yaml:"urls"`
	CA   config.Path `yaml:"ca_file"`
}

type sample struct {
	Server  server         `yaml:"server"`
	Issuers []server       `yaml:"issuers"`
	Claims  map[string]any `yaml:"claims"`
	Wait    time.Duration  `yaml:"wait"`
	Max     int            `yaml:"max"`
	On      bool           `yaml:"on"`
	Name    string         `yaml:"name"`
	Extra   *server        `yaml:"extra"`
	checked int
}

func (s *sample) SetDefaults() {
	if s.Max == 0 {
		s.Max = 7
	}
}

func (s *sample) Check(r *config.Report) {
	s.checked++
	if s.Max > 100 {
		r.Errorf("max", "must be at most 100")
	}
	if s.Name == "" {
		r.Errorf("name", "is required")
	}
	for i, issuer := range s.Issuers {
		if len(issuer.URLs) == 0 {
			r.Errorf(fmt.Sprintf("issuers[%d].urls", i), "is required")
		}
	}
	if s.On {
		r.Warnf("on", "is dangerous")
	}
}

func write(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "sample.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestLoad(t *testing.T) {
	file := write(t, `
server: { urls: [nats://127.0.0.1:4222, "nats://[::1]:4222"], ca_file: ca.pem }
issuers:
  - urls: [x]
    ca_file: /etc/ca.pem
claims: { tenant: [a, b], level: 3 }
wait: 1m30s
name: 3141592653
extra:
  urls: []
on: true
`)
	var s sample
	warnings, err := config.Load(file, &s)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Dir(file)
	if s.Server.CA != config.Path(filepath.Join(dir, "ca.pem")) || s.Issuers[0].CA != "/etc/ca.pem" {
		t.Errorf("paths: %q %q", s.Server.CA, s.Issuers[0].CA)
	}
	if s.Wait != 90*time.Second || s.Max != 7 || len(s.Server.URLs) != 2 || s.Name != "3141592653" || s.Extra == nil {
		t.Errorf("read %+v", s)
	}
	if fmt.Sprint(s.Claims["tenant"]) != "[a b]" || fmt.Sprint(s.Claims["level"]) != "3" {
		t.Errorf("claims: %v", s.Claims)
	}
	if len(warnings) != 1 || warnings[0].Line != 11 || warnings[0].Key != "on" {
		t.Errorf("warnings: %v", warnings)
	}
}

func TestLoadReportsEverything(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		want       []string // LINE:COLUMN: KEY: MESSAGE, in this order and no others
	}{
		{"several problems in one run", `max: 200
sever: { urls: [a] }
wait: soon
issuers:
  - ca_file: x
    urls: []
  - url: [x]
name: a
name: b
`, []string{
			"1:1: max: must be at most 100",
			"2:1: sever: unknown key; did you mean server?",
			"3:7: wait: must be a duration such as 500ms, 2s or 1h30m",
			"6:5: issuers[0].urls: is required",
			"7:5: issuers[1].url: unknown key; did you mean urls?",
			"7:5: issuers[1].urls: is required",
			"9:1: name: appears twice; keep one",
		}},
		{"empty", "", []string{"name: is required"}},
		{"comments only", "# nothing\n", []string{"name: is required"}},
		{"a list", "- a\n", []string{"1:1: must be a section of keys and values", "name: is required"}},
		{"a scalar", "a\n", []string{"1:1: must be a section of keys and values", "name: is required"}},
		{"two documents", "name: a\n---\nname: b\n", []string{"2:1: a second document; one file holds one document"}},
		{"scalar for a list", "name: a\nserver: {urls: nats://a}\n", []string{"2:16: server.urls: must be a list: [a, b]"}},
		{"list for a section", "name: a\nserver: [a]\n", []string{"2:9: server: must be a section of keys and values"}},
		{"text for a number", "name: a\nmax: many\n", []string{"2:6: max: must be a whole number in range"}},
		{"number too large", "name: a\nmax: 99999999999999999999\n", []string{"2:6: max: must be a whole number in range"}},
		{"text for a boolean", "name: a\non: maybe\n", []string{"2:5: on: must be true or false"}},
		{"section for text", "name: {a: b}\n", []string{"1:7: name: must be text"}},
		{"anchor", "name: &x a\n", []string{"1:7: name: anchors, aliases and tags are not read here; write the value"}},
		{"alias", "name: a\nextra: &x {}\nserver: *x\n", []string{
			"2:8: extra: anchors, aliases and tags are not read here; write the value",
			"3:9: server: anchors, aliases and tags are not read here; write the value",
		}},
		{"tag", "name: !secret a\n", []string{"1:7: name: anchors, aliases and tags are not read here; write the value"}},
		{"list as a key", "name: a\n? [x]\n: b\n", []string{"2:3: a key must be a word"}},
		{"case of a key", "Name: a\n", []string{"1:1: Name: unknown key; did you mean name?", "name: is required"}},
		{"key twice in a map", "name: a\nclaims: {x: 1, x: 2}\n", []string{"2:16: claims.x: appears twice; keep one"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			file := write(t, tt.text)
			var s sample
			_, err := config.Load(file, &s)
			var problems config.Problems
			if !errors.As(err, &problems) {
				t.Fatalf("got %v, want Problems", err)
			}
			got := make(map[string]bool)
			for _, p := range problems {
				line := strings.TrimPrefix(strings.TrimPrefix(p.String(), file+":"), " ")
				got[line] = true
			}
			for _, want := range tt.want {
				if !got[want] {
					t.Errorf("missing %q", want)
				}
				delete(got, want)
			}
			for extra := range got {
				t.Errorf("unexpected %q", extra)
			}
		})
	}
}

func TestLoadSyntax(t *testing.T) {
	var s sample
	_, err := config.Load(write(t, "name: \"secret-value\n  x: [\n"), &s)
	if err == nil || strings.Contains(err.Error(), "secret-value") {
		t.Fatalf("got %v, want a syntax problem without the text", err)
	}
}

func TestLoadRefusesFiles(t *testing.T) {
	var s sample
	if _, err := config.Load(filepath.Join(t.TempDir(), "none.yaml"), &s); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing file: %v", err)
	}
	if _, err := config.Load(write(t, strings.Repeat("#", config.MaxFileBytes+1)), &s); err == nil || !strings.Contains(err.Error(), "larger than") {
		t.Errorf("large file: %v", err)
	}
}

func TestReadSecret(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) config.Path {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return config.Path(p)
	}
	if got, err := config.ReadSecret(file("good", " s3cret\n")); err != nil || string(got) != "s3cret" {
		t.Errorf("got %q, %v", got, err)
	}
	if _, err := config.ReadSecret(file("empty", "\n")); !errors.Is(err, config.ErrEmptySecret) {
		t.Errorf("empty: %v", err)
	}
	if _, err := config.ReadSecret(file("large", strings.Repeat("x", config.MaxSecretBytes+1))); err == nil || strings.Contains(err.Error(), "xxx") {
		t.Errorf("large: %v", err)
	}
	if _, err := config.ReadSecret(config.Path(dir)); err == nil {
		t.Error("a directory was read")
	}
}

func FuzzLoad(f *testing.F) {
	f.Add("server: { urls: [a] }\nname: b\n")
	f.Add("name: &x a\nextra: *x\n")
	f.Add("? [a]\n: b\n")
	f.Fuzz(func(t *testing.T, text string) {
		file := write(t, text)
		var s sample
		_, err := config.Load(file, &s)
		if err == nil && s.Name == "" {
			t.Error("accepted without the required key")
		}
	})
}
