// Package atomicfile replaces a file so that a reader sees the old or the new text, whatever dies when. It refuses to know what
// the text means, and it makes no directory.
package atomicfile

import (
	"fmt"
	"os"
	"path/filepath"
)

// Replace writes text to the file called name, readable and writable by its owner alone (0600). The text is on disk before it
// takes the place of the old one, which stays as it was when Replace fails. Of two calls at the same time one wins, whole.
func Replace(name string, text []byte) error {
	f, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+".*") // 0600
	if err != nil {
		return fmt.Errorf("replace %s: %w", name, err)
	}
	_, err = f.Write(text)
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		_ = os.Remove(f.Name()) // what is left of it does no harm
		return fmt.Errorf("replace %s: %w", name, err)
	}
	return nil
}
