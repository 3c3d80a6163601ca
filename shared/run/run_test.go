package run_test

import (
	"bytes"
	"context"
	"errors"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/zap"

	"harmony.internal/authcallout/shared/config"
	"harmony.internal/authcallout/shared/logx"
	"harmony.internal/authcallout/shared/monitor"
	"harmony.internal/authcallout/shared/run"
)

type sample struct {
	Name string `yaml:"name"`
	Old  bool   `yaml:"old"`
}

func (s *sample) SetDefaults() {}

func (s *sample) Check(r *config.Report) {
	if s.Name == "" {
		r.Errorf("name", "is required")
	}
	if s.Old {
		r.Warnf("old", "is deprecated")
	}
}

func TestHealthcheck(t *testing.T) {
	m, err := monitor.New(monitor.About{Service: "sample"}, zap.NewNop(), []monitor.Check{
		{Name: "keys", Do: func(context.Context) error { return errors.New("none yet") }},
	})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(m.Handler())
	defer srv.Close()
	listen := strings.TrimPrefix(srv.URL, "http://")
	file := filepath.Join(t.TempDir(), "sample.yaml")
	if err := os.WriteFile(file, []byte("nam: what the process that runs was not started with\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	good := filepath.Join(t.TempDir(), "sample.yaml")
	if err := os.WriteFile(good, []byte("name: \"\" # Check refuses this, and is not asked\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name   string
		args   []string
		listen string
		code   int
		out    string
	}{
		{"help", []string{"-help"}, listen, run.ExitOK, "-live"},
		{"no file", nil, listen, run.ExitUsage, "usage: sample healthcheck -config FILE"},
		{"not ready", []string{"-config", good}, listen, run.ExitFailure, "sample: not ready: keys: none yet"},
		{"live", []string{"-config", good, "-live"}, listen, run.ExitOK, "sample: healthy"},
		{"nothing listens", []string{"-config", good}, "127.0.0.1:1", run.ExitFailure, "refused"},
		{"nothing to ask", []string{"-config", good}, "", run.ExitUsage, "monitor.listen is not set"},
		{"unreadable", []string{"-config", file}, listen, run.ExitUsage, "did you mean name?"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := run.Program[*sample]{
				Name:      "sample",
				NewConfig: func() *sample { return &sample{} },
				Monitor:   func(*sample) monitor.Config { return monitor.Config{Listen: tt.listen} },
			}
			var out bytes.Buffer
			if code := p.Run(t.Context(), append([]string{"healthcheck"}, tt.args...), &out, &out); code != tt.code {
				t.Errorf("exit %d, want %d", code, tt.code)
			}
			if !strings.Contains(out.String(), tt.out) {
				t.Errorf("%q, want %q", out.String(), tt.out)
			}
		})
	}
}

func TestRun(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return p
	}
	good, warned, bad := file("good.yaml", "name: a\n"), file("warned.yaml", "name: a\nold: true\n"), file("bad.yaml", "nam: a\nold: true\n")
	errBroken := errors.New("the connection closed for good")

	for _, tt := range []struct {
		name         string
		args         []string
		probe, serve error
		code         int
		out, err     string
	}{
		{name: "no arguments", code: run.ExitUsage, err: "-config FILE is required"},
		{name: "help", args: []string{"-help"}, code: run.ExitOK, err: "usage: sample -config FILE"},
		{name: "unknown flag", args: []string{"-x"}, code: run.ExitUsage, err: "usage: sample"},
		{name: "stray argument", args: []string{"-config", good, "x"}, code: run.ExitUsage, err: `unexpected argument "x"`},
		{name: "version", args: []string{"-version"}, code: run.ExitOK, out: "sample " + run.Version},
		{name: "missing file", args: []string{"-config", filepath.Join(dir, "none.yaml")}, code: run.ExitUsage, err: "none.yaml"},
		{name: "bad file", args: []string{"-config", bad}, code: run.ExitUsage, err: "nam: unknown key; did you mean name?"},
		{name: "check a bad file", args: []string{"-config", bad, "-check-config"}, code: run.ExitUsage, err: "name: is required"},
		{name: "check a good file", args: []string{"-config", good, "-check-config"}, code: run.ExitOK, out: "good.yaml: good"},
		{name: "check with a warning", args: []string{"-config", warned, "-check-config"}, code: run.ExitOK, err: "warning: old: is deprecated", out: "good"},
		{name: "check, the world is not well", args: []string{"-config", good, "-check-config"}, probe: errBroken, code: run.ExitFailure, err: errBroken.Error()},
		{name: "serve", args: []string{"-config", good}, code: run.ExitOK},
		{name: "serve, broken", args: []string{"-config", good}, serve: errBroken, code: run.ExitFailure},
	} {
		t.Run(tt.name, func(t *testing.T) {
			served := false
			p := run.Program[*sample]{
				Name:        "sample",
				Description: "tests",
				NewConfig:   func() *sample { return &sample{} },
				Log:         func(*sample) logx.Config { return logx.Config{Format: "json"} },
				Probe:       func(context.Context, *sample) error { return tt.probe },
				Serve: func(_ context.Context, c *sample, _ *zap.Logger) error {
					served = c.Name == "a"
					return tt.serve
				},
			}
			var out, err bytes.Buffer
			if code := p.Run(t.Context(), tt.args, &out, &err); code != tt.code {
				t.Errorf("exit %d, want %d\n%s", code, tt.code, err.String())
			}
			if !strings.Contains(out.String(), tt.out) || !strings.Contains(err.String(), tt.err) {
				t.Errorf("stdout %q, stderr %q", out.String(), err.String())
			}
			if served != strings.HasPrefix(tt.name, "serve") {
				t.Errorf("served: %v", served)
			}
		})
	}
}
