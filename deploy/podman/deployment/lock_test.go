package deployment

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestOneCommandAtATime: while one command changes the deployment another says so, and touches nothing.
func TestOneCommandAtATime(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	d := &Deployment{State: State(dir), Out: io.Discard}
	release, err := d.State.lock()
	if err != nil {
		t.Fatal(err)
	}
	if err := d.State.remember(Modes{}); err != nil {
		t.Fatal(err)
	}
	for name, command := range map[string]func() error{
		"up":          func() error { return d.Up(t.Context(), example(), Modes{}) },
		"upgrade":     func() error { return d.Upgrade(t.Context(), example()) },
		"rotate-keys": func() error { return d.RotateKeys(t.Context(), example()) },
		"down":        func() error { return d.Down(t.Context(), true) },
	} {
		if err := command(); err == nil || !strings.Contains(err.Error(), "another command") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if list, err := os.ReadDir(dir); err != nil || len(list) != 2 { // modes and the lock
		t.Errorf("the state directory holds %v, %v", list, err)
	}
	release()
	again, err := d.State.lock()
	if err != nil {
		t.Fatal(err)
	}
	again()
}
