package deployment

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// lockFile in the state directory is held by the command that changes the deployment. It stays when the command has ended; the
// kernel lets go of it, also on kill -9.
const lockFile = "lock"

// lock takes the deployment for one command until release is called: two that make keys or replace containers at the same time
// would mix theirs. It makes the directory where it is missing.
func (s State) lock() (release func(), err error) {
	if err := os.MkdirAll(string(s), 0o700); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(s.in(lockFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close() // nothing was written
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("%s: another command changes this deployment just now: wait for it and try again", s)
		}
		return nil, fmt.Errorf("%s cannot be locked: %w", f.Name(), err)
	}
	return func() { _ = f.Close() }, nil // nothing was written
}
