package filelock

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"testing"
)

func TestTake(t *testing.T) {
	name := filepath.Join(t.TempDir(), "lock")
	release, err := Take(name)
	if err != nil {
		t.Fatal(err)
	}
	var held *Held
	if _, err := Take(name); !errors.As(err, &held) || held.Process != strconv.Itoa(os.Getpid()) {
		t.Errorf("a second time: %v", err)
	}
	info, err := os.Stat(name)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	release()
	again, err := Take(name)
	if err != nil {
		t.Fatalf("after it was let go: %v", err)
	}
	again()
	if _, err := Take(filepath.Join(name, "inside")); err == nil || errors.As(err, &held) {
		t.Errorf("below a file: %v", err)
	}
}
