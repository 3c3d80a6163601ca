package tokencheck

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"harmony.internal/authcallout/shared/atomicfile"
	"harmony.internal/authcallout/shared/strictjson"
)

// keyFile is where one issuer's last good key set is kept. The file is for its owner alone (0600), because whoever can
// write it can admit anybody; its first line is the SHA-256 of the rest, so that a damaged one is noticed. A reader sees the
// old or the new text, whatever dies when. Safe for concurrent use, also by several processes.
type keyFile struct {
	name   string
	issuer string

	mu    sync.Mutex // guards saved, and is held while writing
	saved uint64     // number of the newest set that was written
}

// keptKeys is the text after the first line.
type keptKeys struct {
	Issuer  string    `json:"issuer"`
	Fetched time.Time `json:"fetched"`
	KeySet  string    `json:"key_set"` // as it was received
}

// maxKeyFileBytes is enough for a key set of maxKeySetBytes whose every byte is escaped in six.
const maxKeyFileBytes = 6*maxKeySetBytes + 4096

// Errors of a file that is not used.
var (
	errKeyFileOpen    = errors.New("others than its owner may read or write it; make it 0600")
	errKeyFileDamaged = errors.New("it is damaged")
	errKeyFileIssuer  = errors.New("it is of another issuer")
	errKeyFileFuture  = errors.New("it is from the future; is the clock right?")
)

// newKeyFile returns the file for issuer in a directory, which is made where it is missing.
func newKeyFile(directory, issuer string) (*keyFile, error) {
	if err := os.MkdirAll(directory, 0o700); err != nil {
		return nil, err
	}
	sum := sha256.Sum256([]byte(issuer))
	f := &keyFile{name: filepath.Join(directory, hex.EncodeToString(sum[:8])+".keys"), issuer: issuer}
	f.removeRest()
	return f, nil
}

// removeRest removes what a process left that died while it wrote.
func (f *keyFile) removeRest() {
	rest, err := filepath.Glob(f.name + ".*")
	if err != nil {
		return // the pattern is ours
	}
	for _, name := range rest {
		if info, err := os.Lstat(name); err == nil && time.Since(info.ModTime()) > time.Minute {
			_ = os.Remove(name) // what is left does no harm
		}
	}
}

// save writes set unless a newer one was written.
func (f *keyFile) save(set *keySet) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if set.number < f.saved {
		return nil
	}
	body, err := json.Marshal(keptKeys{Issuer: f.issuer, Fetched: set.asked.UTC(), KeySet: string(set.text)})
	if err != nil {
		return err
	}
	sum := sha256.Sum256(body)
	if err := atomicfile.Replace(f.name, fmt.Appendf(nil, "%x\n%s", sum, body)); err != nil {
		return err
	}
	f.saved = set.number
	return nil
}

// load returns the set that was kept, with the age that it has at now; nil when there is none.
func (f *keyFile) load(now time.Time) (*keySet, error) {
	text, err := f.read()
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	set, err := f.parse(text, now)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.name, err)
	}
	return set, nil
}

func (f *keyFile) read() ([]byte, error) {
	file, err := os.Open(f.name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }() // only read
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%s: %w", f.name, errKeyFileOpen)
	}
	return io.ReadAll(io.LimitReader(file, maxKeyFileBytes+1))
}

var keptLimits = strictjson.Limits{MaxBytes: maxKeyFileBytes, MaxDepth: 2, MaxMembers: 8}

func (f *keyFile) parse(text []byte, now time.Time) (*keySet, error) {
	line, body, _ := bytes.Cut(text, []byte("\n"))
	sum := sha256.Sum256(body)
	if string(line) != hex.EncodeToString(sum[:]) || strictjson.CheckObject(body, keptLimits, "issuer", "fetched", "key_set") != nil {
		return nil, errKeyFileDamaged
	}
	var kept keptKeys
	if err := json.Unmarshal(body, &kept); err != nil {
		return nil, errKeyFileDamaged
	}
	if kept.Issuer != f.issuer {
		return nil, errKeyFileIssuer
	}
	if kept.Fetched.After(now.Add(maxLeeway)) {
		return nil, errKeyFileFuture
	}
	return parseKeySet([]byte(kept.KeySet), kept.Fetched)
}
