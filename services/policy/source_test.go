package policy

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/zap"

	"harmony.internal/authcallout/services/policy/rules"
	"harmony.internal/authcallout/shared/config"
)

const (
	first  = "rules:\n  - {name: one, when: 'true', publish: {allow: [a]}}\n"
	second = "rules:\n  - {name: two, when: 'true', publish: {allow: [b]}}\n"
)

func hashOf(t *testing.T, text string) string {
	t.Helper()
	p, _, err := rules.Compile("rules.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return p.Hash()
}

// TestSource walks one file through its life; after each step the policy in force and its generation are looked at.
func TestSource(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "rules.yaml")
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	link := func(target string) {
		tmp := filepath.Join(dir, "link")
		if err := os.Symlink(filepath.Join(dir, target), tmp); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(tmp, file); err != nil {
			t.Fatal(err)
		}
	}
	// volume puts text into a directory of its own and swaps the link ..data to it, as Kubernetes does.
	volume := func(name, text string) {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
		write(name+"/rules.yaml", text)
		if err := os.Symlink(name, filepath.Join(dir, "..tmp")); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(dir, "..tmp"), filepath.Join(dir, "..data")); err != nil {
			t.Fatal(err)
		}
	}
	write("rules.yaml", first)
	s := newStore(zap.NewNop(), rules.System{}, "")
	source := rulesFile(config.Path(file), s)
	if err := source.first(); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		name       string
		do         func()
		hash       string
		generation uint64
	}{
		{"unchanged", func() {}, hashOf(t, first), 1},
		{"edited", func() { write("rules.yaml", second) }, hashOf(t, second), 2},
		{"broken", func() { write("rules.yaml", "rules: [") }, hashOf(t, second), 2},
		{"emptied", func() { write("rules.yaml", "") }, hashOf(t, second), 2},
		{"mended", func() { write("rules.yaml", first) }, hashOf(t, first), 3},
		{"deleted", func() { _ = os.Remove(file) }, hashOf(t, first), 3},
		{"linked", func() { write("a.yaml", second); link("a.yaml") }, hashOf(t, second), 4},
		{"link swapped", func() { write("b.yaml", first); link("b.yaml") }, hashOf(t, first), 5},
		{"link to nothing", func() { link("none.yaml") }, hashOf(t, first), 5},
		{"mounted volume", func() { volume("..1", second); link("..data/rules.yaml") }, hashOf(t, second), 6},
		{"mounted volume swapped", func() { volume("..2", first) }, hashOf(t, first), 7},
		{"mounted volume swapped for a broken one", func() { volume("..3", "rules: [") }, hashOf(t, first), 7},
	} {
		step.do()
		source.look()
		source.look()
		if got := s.current.Load(); got.Hash() != step.hash || got.generation != step.generation {
			t.Errorf("%s: %s generation %d, want %s generation %d", step.name, got.Hash(), got.generation, step.hash, step.generation)
		}
	}
}

// TestSourceWaitsForTheWriter: what stands in the file while it is being written is never in force, good as it may be.
func TestSourceWaitsForTheWriter(t *testing.T) {
	file := filepath.Join(t.TempDir(), "rules.yaml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(first)
	s := newStore(zap.NewNop(), rules.System{}, "")
	source := rulesFile(config.Path(file), s)
	if err := source.first(); err != nil {
		t.Fatal(err)
	}
	half := "rules:\n  - {name: two, when: 'true', publish: {allow: [\"a.>\"]}}\n"
	whole := strings.Replace(half, "]}", "], deny: [a.secret]}", 1)
	for _, step := range []struct{ in, force string }{
		{half, first}, {whole, first}, {whole, whole}, // in three looks
		{half, whole}, {whole, whole}, {half, whole}, // half again is a new change
	} {
		write(step.in)
		source.look()
		if got := s.current.Load().Hash(); got != hashOf(t, step.force) {
			t.Errorf("with %q in the file %s is in force, want that of %q", step.in, got, step.force)
		}
	}
}

func TestSourceMustStartGood(t *testing.T) {
	file := filepath.Join(t.TempDir(), "rules.yaml")
	source := rulesFile(config.Path(file), newStore(zap.NewNop(), rules.System{}, ""))
	if err := source.first(); !os.IsNotExist(err) {
		t.Errorf("missing file: %v", err)
	}
	if err := os.WriteFile(file, []byte("rules: []\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := source.first(); err == nil {
		t.Error("a broken file was accepted at start")
	}
}
