package tokencheck

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"harmony.internal/authcallout/shared/config"
	"harmony.internal/authcallout/shared/oidctest"
	"harmony.internal/authcallout/shared/wire"
)

// newFile returns a keyFile with a set in it.
func newFile(t testing.TB) (*keyFile, *keySet) {
	t.Helper()
	f, err := newKeyFile(filepath.Join(t.TempDir(), "keys"), "https://issuer.example.com")
	if err != nil {
		t.Fatal(err)
	}
	idp := oidctest.New(t)
	set, err := parseKeySet([]byte(`{"keys":[`+jwkWith(t, idp.Key(t, "RS256").Private.Public(), map[string]any{"kid": "a"})+`]}`), time.Now().Add(-time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	set.number = 1
	if err := f.save(set); err != nil {
		t.Fatal(err)
	}
	return f, set
}

func TestKeyFile(t *testing.T) {
	f, set := newFile(t)
	got, err := f.load(time.Now())
	if err != nil || got.hash != set.hash || !got.asked.Equal(set.asked) || got.number != 0 {
		t.Errorf("%+v, %v", got, err)
	}
	for name, mode := range map[string]os.FileMode{f.name: 0o600, filepath.Dir(f.name): 0o700 | os.ModeDir} {
		if info, err := os.Stat(name); err != nil || info.Mode() != mode {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
	// One that was fetched earlier does not replace it.
	older := *set
	older.number, older.asked = 0, set.asked.Add(-time.Hour)
	if err := f.save(&older); err != nil {
		t.Fatal(err)
	}
	if got, err := f.load(time.Now()); err != nil || !got.asked.Equal(set.asked) {
		t.Errorf("%v, %v", got.asked, err)
	}
	if names, err := os.ReadDir(filepath.Dir(f.name)); err != nil || len(names) != 1 {
		t.Errorf("%v is there, %v", names, err)
	}
	if other, err := newKeyFile(filepath.Dir(f.name), "https://other.example.com"); err != nil || other.name == f.name {
		t.Errorf("two issuers share %s, %v", other.name, err)
	} else if set, err := other.load(time.Now()); set != nil || err != nil {
		t.Errorf("one that was never written: %v, %v", set, err)
	}
}

// TestKeyFileDamaged: whatever happens to the file, no other key than those that were fetched is taken from it.
func TestKeyFileDamaged(t *testing.T) {
	rewrite := func(change func(string) string) func(*testing.T, *keyFile) {
		return func(t *testing.T, f *keyFile) {
			text, err := os.ReadFile(f.name)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(f.name, []byte(change(string(text))), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, tt := range map[string]struct {
		damage func(*testing.T, *keyFile)
		want   error
	}{
		"empty":             {rewrite(func(string) string { return "" }), errKeyFileDamaged},
		"cut off":           {rewrite(func(s string) string { return s[:len(s)/2] }), errKeyFileDamaged},
		"one bit":           {rewrite(func(s string) string { return s[:200] + string(s[200]^1) + s[201:] }), errKeyFileDamaged},
		"without its sum":   {rewrite(func(s string) string { return s[strings.IndexByte(s, '\n')+1:] }), errKeyFileDamaged},
		"more at the end":   {rewrite(func(s string) string { return s + " " }), errKeyFileDamaged},
		"huge":              {rewrite(func(s string) string { return s + strings.Repeat("x", maxKeyFileBytes) }), errKeyFileDamaged},
		"another issuer's":  {func(_ *testing.T, f *keyFile) { f.issuer = "https://other.example.com" }, errKeyFileIssuer},
		"readable by group": {func(t *testing.T, f *keyFile) { must(t, os.Chmod(f.name, 0o640)) }, errKeyFileOpen},
		"writable by all":   {func(t *testing.T, f *keyFile) { must(t, os.Chmod(f.name, 0o602)) }, errKeyFileOpen},
		"a directory": {func(t *testing.T, f *keyFile) {
			must(t, os.Remove(f.name))
			must(t, os.Mkdir(f.name, 0o700))
		}, errKeyFileOpen},
	} {
		t.Run(name, func(t *testing.T) {
			f, _ := newFile(t)
			tt.damage(t, f)
			if set, err := f.load(time.Now()); set != nil || !errors.Is(err, tt.want) {
				t.Errorf("%v, %v, want %v", set, err, tt.want)
			}
		})
	}
	f, _ := newFile(t)
	if set, err := f.load(time.Now().Add(-time.Hour)); set != nil || !errors.Is(err, errKeyFileFuture) {
		t.Errorf("from the future: %v, %v", set, err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestKeyFileRest: what a process left that was killed while it wrote is removed, and what another writes now is not.
func TestKeyFileRest(t *testing.T) {
	f, set := newFile(t)
	old, fresh := f.name+".123", f.name+".456"
	for _, name := range []string{old, fresh} {
		must(t, os.WriteFile(name, []byte("half"), 0o600))
	}
	must(t, os.Chtimes(old, time.Now(), time.Now().Add(-time.Hour)))
	again, err := newKeyFile(filepath.Dir(f.name), f.issuer)
	must(t, err)
	if _, err := os.Stat(old); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the rest of long ago: %v", err)
	}
	if _, err := os.Stat(fresh); err != nil {
		t.Error(err)
	}
	if got, err := again.load(time.Now()); err != nil || got.hash != set.hash {
		t.Errorf("%v, %v", got, err)
	}
}

// restarted returns a service as it is after a restart, with the keys of an earlier run in directory and the provider down.
func restarted(t *testing.T, idp *oidctest.Issuer, directory string, now func() time.Time) *Service {
	t.Helper()
	cfg := &Config{LastGoodDirectory: config.Path(directory), Issuers: []IssuerConfig{issuerConfig(idp.URL)}}
	s, err := New(cfg, Deps{Log: zap.NewNop(), Version: "0.0.1", Now: now})
	must(t, err)
	return s
}

// TestRestartInOutage: keys of an earlier run admit after a restart, as long as they would have without one, and their age
// goes on.
func TestRestartInOutage(t *testing.T) {
	idp := oidctest.New(t)
	directory := filepath.Join(t.TempDir(), "keys")
	c := &clock{}
	first := restarted(t, idp, directory, c.now)
	iss := first.verifier.issuers[idp.URL]
	_, err := iss.keys.refresh(t.Context())
	must(t, err)
	iss.keys.keep(iss.keys.current.Load())
	idp.Fail(503)
	token := idp.Token(t, "sensor-a")

	c.ahead = 40 * time.Minute
	second := restarted(t, idp, directory, c.now)
	judged(t, second.verifier, token, "", 0)
	st := second.verifier.issuers[idp.URL].stats()
	if st.AgeSeconds < 39*60 || st.AgeSeconds > 41*60 || !st.Restored || st.KeySet != iss.stats().KeySet {
		t.Errorf("%+v", st)
	}
	// Nobody is refused for good by keys of an earlier run alone.
	stranger := idp.AddKey(t, "RS256").Sign(t, nil, idp.AccessToken("sensor-b"))
	judged(t, second.verifier, stranger, "", wire.KeySetUnavailable)

	c.ahead = time.Hour + time.Minute
	judged(t, second.verifier, token, "", wire.KeySetStale)
	third := restarted(t, idp, directory, c.now)
	judged(t, third.verifier, token, "", wire.KeySetStale)

	idp.Heal()
	c.ahead += time.Minute
	judged(t, third.verifier, token, "", 0)
	keys := third.verifier.issuers[idp.URL].keys
	if st := third.verifier.issuers[idp.URL].stats(); st.AgeSeconds > 5 || st.Restored {
		t.Errorf("%+v", st)
	}
	// The login did not wait for the file.
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		if kept, err := keys.file.load(c.now()); err == nil && kept.asked.Unix() == keys.current.Load().asked.Unix() {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the new keys are not on disk")
		}
	}
}

// TestLastGoodDirectoryUnusable: that keys cannot be kept is no reason not to serve.
func TestLastGoodDirectoryUnusable(t *testing.T) {
	idp := oidctest.New(t)
	file := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(file, nil, 0o600))
	s := restarted(t, idp, filepath.Join(file, "keys"), time.Now)
	judged(t, s.verifier, idp.Token(t, "sensor-a"), "", 0)
}

func FuzzKeyFile(f *testing.F) {
	file, _ := newFile(f)
	text, err := os.ReadFile(file.name)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		set, err := file.parse(data, time.Now())
		if err == nil && (set.hash == "" || len(set.keys) == 0 && set.only == nil) {
			t.Fatalf("accepted without keys: %+v", set)
		}
	})
}
