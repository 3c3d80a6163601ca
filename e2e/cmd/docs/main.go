// Command docs writes the generated reference pages; run it from the repository's root, as `make docs` does.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"harmony.internal/authcallout/e2e/docs"
)

func main() {
	if err := write("."); err != nil {
		fmt.Fprintln(os.Stderr, "docs:", err)
		os.Exit(1)
	}
}

func write(root string) error {
	pages, err := docs.Pages(root)
	if err != nil {
		return err
	}
	for _, p := range pages {
		if err := os.WriteFile(filepath.Join(root, p.Path), []byte(p.Text), 0o644); err != nil { //nolint:gosec // documentation is for everyone to read
			return err
		}
	}
	return nil
}
