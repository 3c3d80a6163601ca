package devidp

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	jose "github.com/go-jose/go-jose/v4"
)

// state is everything that outlives the process. A state is never changed once it is in force; update replaces it.
type state struct {
	Organization string               `json:"organization"`
	API          apiClient            `json:"api"`
	Keys         []storedKey          `json:"keys"` // the last one signs, all are published
	Users        []storedUser         `json:"users"`
	Revoked      map[string]time.Time `json:"revoked"` // token id -> when it may be forgotten

	opened []signingKey // of Keys, in their order
}

// apiClient is the one application that may introspect tokens, as a Zitadel project has one of type API.
type apiClient struct {
	ID         string `json:"id"`
	SecretHash string `json:"secret_hash"`
}

func (s *state) userByName(name string) (storedUser, bool) {
	return s.user(func(u storedUser) bool { return u.Name == name })
}

func (s *state) userByID(id string) (storedUser, bool) {
	return s.user(func(u storedUser) bool { return u.ID == id })
}

func (s *state) user(is func(storedUser) bool) (storedUser, bool) {
	i := slices.IndexFunc(s.Users, is)
	if i < 0 {
		return storedUser{}, false
	}
	return s.Users[i], true
}

func (s *state) signing() (signingKey, error) {
	if len(s.opened) == 0 {
		return signingKey{}, errNoSigningKey
	}
	return s.opened[len(s.opened)-1], nil
}

// store keeps the state in force and its file. Reading is lock-free; mu orders the writers.
type store struct {
	dir     string
	current atomic.Pointer[state]
	mu      sync.Mutex
}

const (
	stateFile     = "state.json"
	apiClientName = "api"
)

// openStore loads the state below dir or makes the first one there.
func openStore(dir, algorithm string) (*store, error) {
	for _, d := range []string{dir, filepath.Join(dir, "keys"), filepath.Join(dir, "secrets")} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return nil, err
		}
	}
	st := &store{dir: dir}
	raw, err := os.ReadFile(st.path())
	if errors.Is(err, fs.ErrNotExist) {
		return st, st.create(algorithm)
	}
	if err != nil {
		return nil, err
	}
	loaded, err := decodeState(raw)
	if err != nil {
		return nil, fmt.Errorf("%s: %w; remove the directory to begin anew", st.path(), err)
	}
	st.current.Store(loaded)
	return st, nil
}

func (st *store) path() string { return filepath.Join(st.dir, stateFile) }

func (st *store) get() *state { return st.current.Load() }

func (st *store) create(algorithm string) error {
	secret := newSecret()
	if err := writeSecretFile(secretPath(st.dir, apiClientName), []byte(secret+"\n")); err != nil {
		return err
	}
	key, err := newStoredKey(algorithm)
	if err != nil {
		return err
	}
	st.current.Store(&state{})
	return st.update(func(s *state) error {
		s.Organization = newID()
		s.API = apiClient{ID: apiClientName, SecretHash: hashSecret(secret)}
		s.Keys = []storedKey{key}
		return nil
	})
}

// update puts a changed copy of the state in force once it is on disk. An error of change leaves everything as it was.
func (st *store) update(change func(*state) error) error {
	st.mu.Lock()
	defer st.mu.Unlock()
	raw, err := json.Marshal(st.get())
	if err != nil {
		return err
	}
	next, err := decodeState(raw)
	if err != nil {
		return err
	}
	if err := change(next); err != nil {
		return err
	}
	now := time.Now()
	maps.DeleteFunc(next.Revoked, func(_ string, until time.Time) bool { return until.Before(now) })
	if raw, err = json.MarshalIndent(next, "", "  "); err != nil {
		return err
	}
	if next, err = decodeState(raw); err != nil {
		return err
	}
	if err := writeSecretFile(st.path(), raw); err != nil {
		return err
	}
	st.current.Store(next)
	return nil
}

func decodeState(raw []byte) (*state, error) {
	s := &state{}
	if err := json.Unmarshal(raw, s); err != nil {
		return nil, err
	}
	if s.Revoked == nil {
		s.Revoked = map[string]time.Time{}
	}
	for _, k := range s.Keys {
		opened, err := k.open()
		if err != nil {
			return nil, err
		}
		s.opened = append(s.opened, opened)
	}
	return s, nil
}

// machineKey returns the public key that verifies the assertions of the user with this id.
func (s *state) machineKey(keyID, userID string) (*jose.JSONWebKey, error) {
	u, ok := s.userByID(userID)
	if !ok || u.Key.ID != keyID {
		return nil, fmt.Errorf("no machine key %q of user %q", keyID, userID)
	}
	key, err := u.Key.open()
	if err != nil {
		return nil, err
	}
	return &jose.JSONWebKey{KeyID: keyID, Use: "sig", Key: key}, nil
}

// writeSecretFile replaces the file at once, readable by its owner alone.
func writeSecretFile(path string, content []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	_, err = tmp.Write(content)
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err == nil {
		err = os.Rename(tmp.Name(), path) // CreateTemp made it 0600
	}
	if err != nil {
		return errors.Join(err, os.Remove(tmp.Name()))
	}
	return nil
}
