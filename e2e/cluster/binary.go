package cluster

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// modulePath is where the programs are.
const modulePath = "harmony.internal/authcallout/"

var binaries struct {
	sync.Mutex // guards the rest, held while building
	dir        string
	built      map[string]error
}

// packages of the programs, by name.
var packages = map[string]string{
	"callout":    modulePath + "services/callout/cmd/callout",
	"tokencheck": modulePath + "services/tokencheck/cmd/tokencheck",
	"policy":     modulePath + "services/policy/cmd/policy",
	"standalone": modulePath + "deploy/standalone/cmd/standalone",
	"devidp":     modulePath + "deploy/devidp/cmd/devidp",
	// Of others, in the versions that go.mod names. All of them are tools of go.mod, so that this module builds them alone too.
	"nats-server": "github.com/nats-io/nats-server/v2",
	"nk":          "github.com/nats-io/nkeys/nk",
}

// Binary returns the path of a program, built once for all tests of the process.
func Binary(t testing.TB, name string) string {
	t.Helper()
	binaries.Lock()
	defer binaries.Unlock()
	if binaries.dir == "" {
		dir, err := os.MkdirTemp("", "authcallout-e2e-")
		if err != nil {
			t.Fatal(err)
		}
		binaries.dir, binaries.built = dir, map[string]error{}
	}
	path := filepath.Join(binaries.dir, name)
	err, done := binaries.built[name]
	if !done {
		build := exec.Command("go", "build", "-o", path, packages[name]) //nolint:gosec // a package of the table above
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, failed := build.CombinedOutput(); failed != nil {
			err = fmt.Errorf("go build %s: %w\n%s", packages[name], failed, out)
		}
		binaries.built[name] = err
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// Main runs the tests of a package and removes what was built for them.
func Main(m *testing.M) {
	code := m.Run()
	if binaries.dir != "" {
		if err := os.RemoveAll(binaries.dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}
	os.Exit(code)
}
