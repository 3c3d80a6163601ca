package demo_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"

	"harmony.internal/authcallout/e2e/cluster"
	"harmony.internal/authcallout/e2e/demo"
)

func TestMain(m *testing.M) { cluster.Main(m) }

// TestDemo keeps it running, uses what it prints, and ends it as Ctrl-C does.
func TestDemo(t *testing.T) {
	bin, tmp := programs(t), t.TempDir()
	t.Setenv("TMPDIR", tmp)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var out buffer
	ended := make(chan error, 1)
	go func() { ended <- demo.Run(ctx, demo.Options{Bin: bin, Keep: true, Out: &out}) }()
	cluster.Eventually(t, "it says how to stop it", func() bool {
		select {
		case err := <-ended:
			t.Fatalf("it has ended: %v\n%s", err, out.String())
		default:
		}
		return strings.Contains(out.String(), "Ctrl-C")
	})
	story := out.String()
	for _, want := range []string{
		"device_authenticates_and_pubsub", "device_cannot_access_other_device_subjects", "reason=signature_invalid", "All of it was as expected.",
	} {
		if !strings.Contains(story, want) {
			t.Errorf("the story has no %q:\n%s", want, story)
		}
	}
	nc, err := nats.Connect(printed(t, story, `NATS_URL=(\S+)`), nats.Token(printed(t, story, `TOKEN=(eyJ\S+)`)), nats.Timeout(cluster.Patience))
	if err != nil {
		t.Fatalf("the token to paste: %v", err)
	}
	nc.Close()
	operator, err := nats.NkeyOptionFromSeed(printed(t, story, `--nkey (\S+)`))
	if err != nil {
		t.Fatal(err)
	}
	if nc, err = nats.Connect(printed(t, story, `NATS_URL=(\S+)`), operator, nats.Timeout(cluster.Patience)); err != nil {
		t.Fatalf("the operator's key: %v", err)
	}
	nc.Close()
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("stopped, it returned %v", err)
	}
	if left, err := os.ReadDir(tmp); err != nil || len(left) > 0 {
		t.Errorf("it left %v %v", left, err)
	}
}

// TestNotAsExpected has the demo watch systems that are wrong.
func TestNotAsExpected(t *testing.T) {
	const rules = `variables: { device_id: { from: [device_id] } }
rules:
  - name: device
    when: 'true'
    publish: { allow: ["device-state.{device_id}", "_INBOX.>"] }
    subscribe: { allow: ["%s"] }
`
	for name, c := range map[string]struct {
		rules string
		flags string
		says  string
	}{
		"devices are not let in":             {"", "-role nobody", "sensor-test-01 is not let in"},
		"a device reads another's commands":  {fmt.Sprintf(rules, "device-commands.*"), "", "did not refuse a subscription"},
		"the server does not start":          {"", "-listen nowhere", "-listen"},
		"the provider's tokens are not good": {"", "-project 4711", "sensor-test-01 is not let in"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			built, bin := programs(t), t.TempDir()
			if err := os.Symlink(filepath.Join(built, "devidp"), filepath.Join(bin, "devidp")); err != nil {
				t.Fatal(err)
			}
			script := "#!/bin/sh\nset -e\n"
			if c.rules != "" { // $2 is the data directory
				file := filepath.Join(bin, "rules.yaml")
				if err := os.WriteFile(file, []byte(c.rules), 0o600); err != nil {
					t.Fatal(err)
				}
				script += `mkdir -m 700 "$2"; cp ` + file + ` "$2"` + "\n"
			}
			script += `exec ` + filepath.Join(built, "standalone") + ` "$@" ` + c.flags + "\n"
			if err := os.WriteFile(filepath.Join(bin, "standalone"), []byte(script), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := demo.Run(t.Context(), demo.Options{Bin: bin, Out: io.Discard}); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v, want %q", err, c.says)
			}
		})
	}
}

func TestWithoutPrograms(t *testing.T) {
	err := demo.Run(t.Context(), demo.Options{Bin: t.TempDir(), Out: io.Discard})
	if err == nil || !strings.Contains(err.Error(), "make build") {
		t.Errorf("%v", err)
	}
}

// programs builds what the demo runs and returns where.
func programs(t *testing.T) string {
	t.Helper()
	cluster.Binary(t, "standalone")
	return filepath.Dir(cluster.Binary(t, "devidp"))
}

// printed returns what the demo printed there.
func printed(t *testing.T, story, pattern string) string {
	t.Helper()
	m := regexp.MustCompile(pattern).FindStringSubmatch(story)
	if m == nil {
		t.Fatalf("it did not print %s:\n%s", pattern, story)
	}
	return m[1]
}

// buffer is safe for concurrent use.
type buffer struct {
	mu   sync.Mutex // guards text
	text strings.Builder
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}
