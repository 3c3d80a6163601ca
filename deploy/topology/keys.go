package topology

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/nats-io/nkeys"
	"golang.org/x/crypto/bcrypt"
)

// Files names the secrets of one deployment, each in a file of its own. All are required.
type Files struct {
	Issuer     string // account seed that signs the user JWTs (SA...); the callout's
	XKey       string // curve seed that opens the requests (SX...); the callout's
	Callout    string // user seeds (SU...) of the three services in account AUTH
	Tokencheck string
	Policy     string
	Operator   string // user seed: may look at the services with `nats micro`, and change nothing
	Admin      string // user seed: the system account, also when every callout is down
	Platform   string // password of the user platform in account DEVICES; its hash lies beside, with .bcrypt appended
}

// FlatFiles puts all of them into one directory.
func FlatFiles(dir string) Files {
	in := func(name string) string { return filepath.Join(dir, name) }
	return Files{
		Issuer: in("issuer.nk"), XKey: in("callout.xk"),
		Callout: in("callout.nk"), Tokencheck: in("tokencheck.nk"), Policy: in("policy.nk"),
		Operator: in("operator.nk"), Admin: in("admin.nk"), Platform: in("platform.password"),
	}
}

// Identities are the public halves, all that a server's configuration needs to know. None of them is secret; the hash
// is of a random password of 256 bits.
type Identities struct {
	Issuer       string
	XKey         string
	Callout      []string // more than one while keys are rotated
	Tokencheck   []string
	Policy       []string
	Operator     []string
	Admin        []string
	PlatformHash string
}

const hashSuffix = ".bcrypt"

// Ensure makes what is missing, readable by its owner alone, keeps what is there, and returns the public halves and
// the paths that it made. What it made before an error stays and is used by the next run.
func Ensure(f Files) (Identities, []string, error) {
	var (
		id      Identities
		created []string
	)
	seed := func(path string, prefix nkeys.PrefixByte, public *string) error {
		made, err := ensureSeed(path, prefix, public)
		if made {
			created = append(created, path)
		}
		return err
	}
	user := func(path string, publics *[]string) error {
		var public string
		err := seed(path, nkeys.PrefixByteUser, &public)
		*publics = []string{public}
		return err
	}
	for _, step := range []func() error{
		func() error { return seed(f.Issuer, nkeys.PrefixByteAccount, &id.Issuer) },
		func() error { return seed(f.XKey, nkeys.PrefixByteCurve, &id.XKey) },
		func() error { return user(f.Callout, &id.Callout) },
		func() error { return user(f.Tokencheck, &id.Tokencheck) },
		func() error { return user(f.Policy, &id.Policy) },
		func() error { return user(f.Operator, &id.Operator) },
		func() error { return user(f.Admin, &id.Admin) },
		func() error {
			made, err := ensurePassword(f.Platform, &id.PlatformHash)
			if made {
				created = append(created, f.Platform)
			}
			return err
		},
	} {
		if err := step(); err != nil {
			return Identities{}, created, err
		}
	}
	return id, created, nil
}

func ensureSeed(path string, prefix nkeys.PrefixByte, public *string) (made bool, err error) {
	raw, err := os.ReadFile(path) //nolint:gosec // the path is the deployment's own
	if errors.Is(err, fs.ErrNotExist) {
		made = true
		raw, err = newSeed(prefix)
		if err == nil {
			err = WriteSecret(path, raw)
		}
	}
	if err != nil {
		return false, err
	}
	pair, err := nkeys.FromSeed([]byte(strings.TrimSpace(string(raw))))
	if err != nil {
		return false, fmt.Errorf("%s is not an nkey seed: %w; remove it to have a new one made", path, err)
	}
	defer pair.Wipe()
	if *public, err = pair.PublicKey(); err != nil {
		return false, err
	}
	if nkeys.Prefix(*public) != prefix {
		return false, fmt.Errorf("%s holds a seed of another kind: %s is needed", path, prefix)
	}
	return made, nil
}

func newSeed(prefix nkeys.PrefixByte) ([]byte, error) {
	pair, err := nkeys.CreatePair(prefix)
	if prefix == nkeys.PrefixByteCurve {
		pair, err = nkeys.CreateCurveKeys()
	}
	if err != nil {
		return nil, err
	}
	return pair.Seed()
}

// ensurePassword makes password and hash together; the hash is remade when it is missing or of another password.
func ensurePassword(path string, hash *string) (made bool, err error) {
	raw, err := os.ReadFile(path) //nolint:gosec // the path is the deployment's own
	if errors.Is(err, fs.ErrNotExist) {
		made, raw = true, []byte(rand.Text()+rand.Text())
		err = WriteSecret(path, raw)
	}
	if err != nil {
		return false, err
	}
	password := []byte(strings.TrimSpace(string(raw)))
	stored, err := os.ReadFile(path + hashSuffix) //nolint:gosec // the path is the deployment's own
	if err == nil && bcrypt.CompareHashAndPassword(stored, password) == nil {
		*hash = string(stored)
		return made, nil
	}
	// The cost guards passwords that people choose; this one is random, and nats-server pays the cost at every connect.
	fresh, err := bcrypt.GenerateFromPassword(password, bcrypt.MinCost)
	if err != nil {
		return false, fmt.Errorf("%s: %w", path, err)
	}
	*hash = string(fresh)
	return made, WriteSecret(path+hashSuffix, fresh)
}

// WriteSecret replaces the file at once, readable by its owner alone; missing directories are made likewise.
func WriteSecret(path string, content []byte) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(dir, "."+filepath.Base(path)+".*") // 0600
	if err != nil {
		return err
	}
	_, err = tmp.Write(content)
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(tmp.Name()))
	}
	return nil
}
