package deployment

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"harmony.internal/authcallout/deploy/devidp"
	"harmony.internal/authcallout/deploy/topology"
)

const developmentProject = devidp.DefaultProject

// State is the directory that holds what one deployment is: a directory for each service and server, mounted read-only, with
// its configuration and exactly the secrets it needs, provider-keys/ for the keys that each replica of tokencheck keeps, and
// admin/ for the people who run it.
type State string

func (s State) in(elem ...string) string {
	return filepath.Join(append([]string{string(s)}, elem...)...)
}

// Files is where each secret lies.
func (s State) Files() topology.Files {
	return topology.Files{
		Issuer: s.in(callout, "issuer.nk"), XKey: s.in(callout, "callout.xk"), Callout: s.in(callout, "callout.nk"),
		Tokencheck: s.in(tokencheck, "tokencheck.nk"), Policy: s.in(policy, "policy.nk"),
		Operator: s.in("admin", "operator.nk"), Admin: s.in("admin", "admin.nk"), Platform: s.in("admin", "platform.password"),
	}
}

// containerUser is who the containers run as: whoever owns the files, so that nobody else needs to read them. When that
// is root, it is the user of the images instead, and the files are given to it.
func containerUser() (uid, gid int) {
	if os.Geteuid() == 0 {
		return imageUser, imageUser
	}
	return os.Geteuid(), os.Getegid()
}

const imageUser = 65532

// hand gives everything that containers mount to the user they run as. A file that goes meanwhile is no error: a running
// container replaces its own.
func (s State) hand(dirs ...string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	uid, gid := containerUser()
	var failed error
	for _, dir := range dirs {
		err := filepath.WalkDir(s.in(dir), func(path string, _ os.DirEntry, err error) error {
			if err == nil {
				err = os.Lchown(path, uid, gid) //nolint:gosec // a link is not followed
			}
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			return err
		})
		failed = errors.Join(failed, err)
	}
	return failed
}

func userString() string {
	uid, gid := containerUser()
	return strconv.Itoa(uid) + ":" + strconv.Itoa(gid)
}

// Modes are the override files in use. They are remembered, so that every command after `up` means the same deployment.
type Modes struct {
	Development, Cluster bool
}

func (m Modes) servers() []string {
	if m.Cluster {
		return []string{"nats-1", "nats-2", "nats-3"}
	}
	return []string{"nats-1"}
}

// services are the containers in the order in which they come up: whoever is needed is there first.
func (m Modes) services() []string {
	names := append([]string{}, m.servers()...)
	if m.Development {
		names = append(names, "devidp")
	}
	names = append(names, "tokencheck-1", "tokencheck-2", "policy-1", "policy-2", "callout-1", "callout-2")
	if m.Development {
		names = append(names, "demo-device")
	}
	return names
}

func (s State) modesFile() string { return s.in("modes") }

func (s State) remember(m Modes) error {
	return topology.WriteSecret(s.modesFile(), fmt.Appendf(nil, "%t %t\n", m.Development, m.Cluster))
}

// Remembered returns the modes of the last `up`.
func (s State) Remembered() (Modes, error) {
	raw, err := os.ReadFile(s.modesFile())
	if err != nil {
		return Modes{}, fmt.Errorf("%s holds no deployment: make up comes first", s)
	}
	var m Modes
	if _, err := fmt.Sscan(string(raw), &m.Development, &m.Cluster); err != nil {
		return Modes{}, fmt.Errorf("%s: %w; make up writes it anew", s.modesFile(), err)
	}
	return m, nil
}
