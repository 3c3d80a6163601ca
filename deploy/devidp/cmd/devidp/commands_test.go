package main

import (
	"bytes"
	"context"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// lockedBuffer is written by the server while the test reads it.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// TestCommands goes the way of a person: serve, and everything else against it by the data directory.
func TestCommands(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	ctx, cancel := context.WithCancel(t.Context())
	var log lockedBuffer
	served := make(chan int, 1)
	go func() {
		served <- run(ctx, []string{"serve", "-data", data, "-listen", "127.0.0.1:0", "-users", "sensor-a", "-algorithm", "ES256"}, &log, &log)
	}()
	waitFor(t, func() bool { return strings.Contains(log.String(), "NEVER FOR PRODUCTION") })

	token := ok(t, "token", "-data", data, "-user", "sensor-a")
	if strings.Count(token, ".") != 2 || strings.Count(token, "\n") != 1 {
		t.Error("token does not print one JWT and nothing else")
	}
	if out := ok(t, "add-user", "-data", data, "-user", "sensor-new", "-roles", ""); !strings.Contains(out, "key file") {
		t.Errorf("add-user says %q", out)
	}
	ok(t, "token", "-data", data, "-user", "sensor-new")
	ok(t, "add-user", "-data", data, "-user", "sensor-opaque", "-token-type", "bearer")
	if opaque := ok(t, "token", "-data", data, "-user", "sensor-opaque"); strings.Count(opaque, ".") == 2 {
		t.Error("a user of type bearer got a JWT")
	}
	ok(t, "rotate", "-data", data, "-algorithm", "EdDSA")
	ok(t, "deactivate", "-data", data, "-user", "sensor-a")
	if code, _, errors := call(t, "token", "-data", data, "-user", "sensor-a"); code != exitFailure || !strings.Contains(errors, "not active") {
		t.Errorf("token of a deactivated user: exit %d, %q", code, errors)
	}
	ok(t, "reactivate", "-data", data, "-user", "sensor-a")
	ok(t, "token", "-data", data, "-user", "sensor-a")

	cancel()
	if code := <-served; code != exitOK {
		t.Errorf("serve exits %d after its context: %s", code, log.String())
	}
	if strings.Contains(log.String(), strings.TrimSpace(token)) {
		t.Error("the log holds a token")
	}
}

func TestWrongUse(t *testing.T) {
	empty := t.TempDir()
	cases := map[string]struct {
		args []string
		code int
		says string
	}{
		"nothing":             {nil, exitUsage, "devidp serve"},
		"no such command":     {[]string{"fly"}, exitUsage, "devidp serve"},
		"no such flag":        {[]string{"serve", "-no-such"}, exitUsage, "-no-such"},
		"an argument":         {[]string{"rotate", "now"}, exitUsage, "now"},
		"help":                {[]string{"serve", "-h"}, exitOK, "-listen"},
		"no server":           {[]string{"rotate", "-data", empty}, exitFailure, "running"},
		"no user":             {[]string{"deactivate", "-data", empty}, exitFailure, "-user"},
		"nobody's token":      {[]string{"token", "-issuer", "http://127.0.0.1:1", "-project", "1"}, exitFailure, "-user"},
		"an address of all":   {[]string{"serve", "-data", empty, "-listen", "0.0.0.0:0"}, exitFailure, "-allow-non-loopback"},
		"a key that is none":  {[]string{"token", "-issuer", "http://127.0.0.1:1", "-project", "1", "-key-file", "commands_test.go"}, exitFailure, "machine key"},
		"an unknown provider": {[]string{"token", "-data", empty, "-user", "a"}, exitFailure, "data directory"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			code, _, errors := call(t, c.args...)
			if code != c.code || !strings.Contains(errors, c.says) {
				t.Errorf("exit %d, %q; want %d and a mention of %q", code, errors, c.code, c.says)
			}
		})
	}
}

func call(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(t.Context(), args, &out, &errs)
	return code, out.String(), errs.String()
}

func ok(t *testing.T, args ...string) string {
	t.Helper()
	code, out, errors := call(t, args...)
	if code != exitOK {
		t.Fatalf("devidp %s: exit %d, %s", args[0], code, errors)
	}
	return out
}

func waitFor(t *testing.T, reached func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !reached(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("not reached in 30 s")
		}
	}
}
