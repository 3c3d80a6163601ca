package devidp

import (
	"crypto/rand"
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
	// TokenKey seals opaque tokens: 32 bytes. Opaque is what is known of them, by token id.
	TokenKey []byte                 `json:"token_key"`
	Opaque   map[string]opaqueToken `json:"opaque"`

	opened []signingKey // of Keys, in their order
}

// apiClient is the one application that may introspect tokens, as a Zitadel project has one of type API.
type apiClient struct {
	ID         string    `json:"id"`
	SecretHash string    `json:"secret_hash"`
	Key        publicKey `json:"key"`
}

// opaqueToken is what an opaque token stands for.
type opaqueToken struct {
	Scopes  []string  `json:"scopes"`
	Issued  time.Time `json:"issued"`
	Expires time.Time `json:"expires"`
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
	tokenKeyBytes = 32
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
		raw, err = []byte("{}"), nil
	}
	if err != nil {
		return nil, err
	}
	loaded, err := decodeState(raw)
	if err != nil {
		return nil, fmt.Errorf("%s: %w; remove the directory to begin anew", st.path(), err)
	}
	st.current.Store(loaded)
	return st, st.update(func(s *state) error { return s.complete(dir, algorithm) })
}

func (st *store) path() string { return filepath.Join(st.dir, stateFile) }

func (st *store) get() *state { return st.current.Load() }

// complete makes what is missing: everything in a new state, what came later in that of an older version.
func (s *state) complete(dir, algorithm string) error {
	if s.Organization == "" {
		s.Organization = newID()
	}
	if s.API.SecretHash == "" {
		secret := newSecret()
		if err := writeSecretFile(secretPath(dir, apiClientName), []byte(secret+"\n")); err != nil {
			return err
		}
		s.API.ID, s.API.SecretHash = apiClientName, hashSecret(secret)
	}
	if s.API.Key.ID == "" {
		key, private, err := newMachineKey()
		if err != nil {
			return err
		}
		file, err := json.Marshal(applicationKeyFile{Type: applicationKeyType, KeyID: key.ID, Key: private, AppID: newID(), ClientID: s.API.ID})
		if err != nil {
			return err
		}
		if err := writeSecretFile(KeyFilePath(dir, apiClientName), file); err != nil {
			return err
		}
		s.API.Key = key
	}
	if len(s.Keys) == 0 {
		key, err := newStoredKey(algorithm)
		if err != nil {
			return err
		}
		s.Keys = []storedKey{key}
	}
	if len(s.TokenKey) != tokenKeyBytes {
		s.TokenKey = make([]byte, tokenKeyBytes)
		if _, err := rand.Read(s.TokenKey); err != nil {
			return err
		}
	}
	return nil
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
	maps.DeleteFunc(next.Opaque, func(_ string, o opaqueToken) bool { return o.Expires.Before(now) })
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
	if s.Opaque == nil {
		s.Opaque = map[string]opaqueToken{}
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

// machineKey returns the public key that verifies the assertions of the user with this id, or of the application.
func (s *state) machineKey(keyID, clientID string) (*jose.JSONWebKey, error) {
	known := s.API.Key
	if clientID != s.API.ID {
		u, _ := s.userByID(clientID)
		known = u.Key
	}
	if keyID == "" || known.ID != keyID {
		return nil, fmt.Errorf("no machine key %q of %q", keyID, clientID)
	}
	key, err := known.open()
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
