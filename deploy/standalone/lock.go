package standalone

import (
	"errors"
	"fmt"
	"path/filepath"

	"harmony.internal/authcallout/shared/filelock"
)

// LockFile in the data directory is held by the process that serves from it and names its process id.
const LockFile = "standalone.lock"

// lock takes the data directory for this process until release is called. Two processes in one directory would write JetStream's
// store over each other.
func lock(dir string) (release func(), err error) {
	release, err = filelock.Take(filepath.Join(dir, LockFile))
	if held := (*filelock.Held)(nil); errors.As(err, &held) {
		return nil, fmt.Errorf("%s: another standalone serves from this directory already (process %s): stop that one, or name another directory with -data",
			dir, held.Process)
	}
	if err != nil {
		return nil, fmt.Errorf("the data directory: %w", err)
	}
	return release, nil
}
