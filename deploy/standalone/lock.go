package standalone

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// LockFile in the data directory is held by the process that serves from it and names its process id. It stays when the
// process has ended; the kernel lets go of it, also on kill -9.
const LockFile = "standalone.lock"

// maxLockText bounds what is read of a lock file, in bytes.
const maxLockText = 32

// lock takes the data directory for this process until the returned file is closed. Two processes in one directory would
// write JetStream's store over each other.
func lock(dir string) (*os.File, error) {
	name := filepath.Join(dir, LockFile)
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600) //nolint:gosec // the operator names the directory
	if err != nil {
		return nil, fmt.Errorf("the data directory cannot be locked: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		owner, _ := io.ReadAll(io.LimitReader(f, maxLockText)) // only makes the message better
		_ = f.Close()                                          // nothing was written
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("%s: another standalone serves from this directory already (process %s): stop that one, or name another directory with -data",
				dir, strings.TrimSpace(string(owner)))
		}
		return nil, fmt.Errorf("%s cannot be locked: %w", name, err)
	}
	err = f.Truncate(0)
	if err == nil {
		_, err = fmt.Fprintln(f, os.Getpid())
	}
	if err != nil {
		_ = f.Close() // the first error is the one to tell
		return nil, fmt.Errorf("%s cannot be written: %w", name, err)
	}
	return f, nil
}
