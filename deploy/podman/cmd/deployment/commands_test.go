package main

import (
	"context"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"harmony.internal/authcallout/deploy/podman/deployment"
)

// TestWarnings: a command about a deployment that runs says what is worth a warning in deployment.yaml, and not on its output.
func TestWarnings(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "deployment.yaml")
	for name, text := range map[string]string{
		"deployment.yaml": "issuer: https://zitadel.example.com\nproject: \"1\"\nlisten: 0.0.0.0:4222\n",
		"modes":           "false false\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var out, beside strings.Builder
	f := &flags{set: flag.NewFlagSet("test", flag.ContinueOnError), file: file}
	f.set.SetOutput(&beside)
	did := false
	do := withConfig(func(_ *deployment.Deployment, _ context.Context, c *deployment.Config) error {
		did = c.Project == "1"
		return nil
	})
	if err := do(t.Context(), &deployment.Deployment{State: deployment.State(dir), Out: &out}, f); err != nil || !did {
		t.Fatalf("done: %t, %v", did, err)
	}
	if !strings.Contains(beside.String(), "there is no tls") || out.Len() > 0 {
		t.Errorf("warned %q, on the output %q", beside.String(), out.String())
	}
}
