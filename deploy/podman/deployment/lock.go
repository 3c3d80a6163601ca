package deployment

import (
	"errors"
	"fmt"
	"os"

	"harmony.internal/authcallout/shared/filelock"
)

// lockFile in the state directory is held by the command that changes the deployment.
const lockFile = "lock"

// lock takes the deployment for one command until release is called: two that make keys or replace containers at the same time
// would mix theirs. It makes the directory where it is missing.
func (s State) lock() (release func(), err error) {
	if err := os.MkdirAll(string(s), 0o700); err != nil {
		return nil, err
	}
	release, err = filelock.Take(s.in(lockFile))
	if held := (*filelock.Held)(nil); errors.As(err, &held) {
		return nil, fmt.Errorf("%s: another command changes this deployment just now (process %s): wait for it and try again", s, held.Process)
	}
	return release, err
}
