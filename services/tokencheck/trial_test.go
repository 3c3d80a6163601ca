package tokencheck

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"harmony.internal/authcallout/shared/config"
)

// TestTrialWritesNothing: a dry run makes no last_good_directory.
func TestTrialWritesNothing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	cfg := &Config{
		LastGoodDirectory: config.Path(dir),
		Issuers:           []IssuerConfig{{Issuer: "https://idp.example.com", Audiences: []string{"a"}, Algorithms: []string{"RS256"}}},
	}
	cfg.SetDefaults()
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := NewTrial(over, cfg); !errors.Is(err, context.Canceled) {
		t.Errorf("with a context that is over: %v", err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the directory: %v", err)
	}
}
