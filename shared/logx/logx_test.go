package logx_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"harmony.internal/authcallout/shared/config"
	"harmony.internal/authcallout/shared/logx"
)

func TestJSONEntry(t *testing.T) {
	var out bytes.Buffer
	log, err := logx.NewTo(&out, logx.Config{Format: "json"}, "callout", "1.2.3")
	if err != nil {
		t.Fatal(err)
	}
	log.Debug("not written")
	log.Info("decision", zap.String(logx.Reason, "no_token\nforged line"))
	var entry map[string]any
	if err := json.Unmarshal(out.Bytes(), &entry); err != nil {
		t.Fatalf("not one line of JSON: %v\n%s", err, out.String())
	}
	for key, want := range map[string]any{"level": "info", "msg": "decision", "service": "callout", "version": "1.2.3", "reason": "no_token\nforged line"} {
		if entry[key] != want {
			t.Errorf("%s = %v, want %v", key, entry[key], want)
		}
	}
	if _, err := time.Parse(time.RFC3339Nano, entry["time"].(string)); err != nil {
		t.Error(err)
	}
}

func TestConsoleEntry(t *testing.T) {
	var out bytes.Buffer
	log, err := logx.NewTo(&out, logx.Config{Format: "console", Level: "debug"}, "callout", "1.2.3")
	if err != nil {
		t.Fatal(err)
	}
	log.Debug("hello")
	if got := out.String(); !strings.Contains(got, "DEBUG\thello") {
		t.Errorf("got %q", got)
	}
}

func TestConfigCheck(t *testing.T) {
	for _, tt := range []struct {
		cfg  logx.Config
		keys []string
	}{
		{logx.Config{}, nil},
		{logx.Config{Level: "warn", Format: "auto"}, nil},
		{logx.Config{Level: "WARN"}, []string{"log.level"}},
		{logx.Config{Level: "fatal", Format: "xml"}, []string{"log.level", "log.format"}},
	} {
		var r config.Report
		tt.cfg.Check("log", &r)
		var keys []string
		for _, p := range r.Problems() {
			keys = append(keys, p.Key)
		}
		if strings.Join(keys, " ") != strings.Join(tt.keys, " ") {
			t.Errorf("%+v: problems at %v, want %v", tt.cfg, keys, tt.keys)
		}
		if _, err := logx.New(tt.cfg, "x", "1.0.0"); (err != nil) != (len(tt.keys) > 0) {
			t.Errorf("%+v: New: %v", tt.cfg, err)
		}
	}
}
