// Package filelock takes a file for one process at a time. It refuses to wait, and to know what the file stands for.
package filelock

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
)

// maxText bounds what is read of a lock file, in bytes.
const maxText = 32

// Held says that somebody else has the lock.
type Held struct {
	Name    string
	Process string // the id that it wrote, empty when it has not yet
}

func (h *Held) Error() string { return fmt.Sprintf("%s is held by process %s", h.Name, h.Process) }

// Take takes the file called name, which it makes where it is missing (0600), and writes this process's id into it. The lock is
// held until release is called or the process ends, also by kill -9 (flock(2)); the file stays. It fails with *Held at once when
// somebody else has it, this process included.
func Take(name string) (release func(), err error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600) //nolint:gosec // the caller names it
	if err != nil {
		return nil, fmt.Errorf("lock: %w", err)
	}
	if err := take(f); err != nil {
		_ = f.Close() // the first error is the one to tell
		return nil, err
	}
	return func() { _ = f.Close() }, nil // lets go of it; there is nothing to keep
}

func take(f *os.File) error {
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return fmt.Errorf("%s cannot be locked: %w", f.Name(), err)
		}
		owner, _ := io.ReadAll(io.LimitReader(f, maxText)) // only makes the message better
		return &Held{Name: f.Name(), Process: strings.TrimSpace(string(owner))}
	}
	err := f.Truncate(0)
	if err == nil {
		_, err = fmt.Fprintln(f, os.Getpid())
	}
	if err != nil {
		return fmt.Errorf("%s cannot be written: %w", f.Name(), err)
	}
	return nil
}
