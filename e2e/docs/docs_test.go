package docs_test

import (
	"os"
	"path/filepath"
	"testing"

	"harmony.internal/authcallout/e2e/docs"
)

func TestPagesAreUpToDate(t *testing.T) {
	root := filepath.Join("..", "..")
	pages, err := docs.Pages(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range pages {
		have, err := os.ReadFile(filepath.Join(root, p.Path))
		if err != nil {
			t.Error(err)
			continue
		}
		if string(have) != p.Text {
			t.Errorf("%s differs from the code; run: make docs", p.Path)
		}
	}
}
