package callout

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nkeys"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"harmony.internal/authcallout/shared/config"
	"harmony.internal/authcallout/shared/logx"
	"harmony.internal/authcallout/shared/natstest"
	"harmony.internal/authcallout/shared/wire"
)

// seedFiles are those of a rotation.
type seedFiles struct {
	t   *testing.T
	dir string
	cfg *Config
}

func newSeedFiles(t *testing.T) *seedFiles {
	t.Helper()
	f := &seedFiles{t: t, dir: t.TempDir()}
	path := func(name string) config.Path { return config.Path(filepath.Join(f.dir, name)) }
	f.cfg = &Config{IssuerSeedFile: path("issuer"), NextIssuerSeedFile: path("next"), XKeySeedFile: path("xkey"), NextXKeySeedFile: path("nextxkey")}
	return f
}

// put writes the seed of pair and returns its public key.
func (f *seedFiles) put(name string, pair nkeys.KeyPair) string {
	f.t.Helper()
	f.text(name, string(must(pair.Seed()))+"\n")
	return must(pair.PublicKey())
}

func (f *seedFiles) text(name, text string) {
	f.t.Helper()
	if err := os.WriteFile(filepath.Join(f.dir, name), []byte(text), 0o600); err != nil {
		f.t.Fatal(err)
	}
}

func (f *seedFiles) remove(name string) {
	f.t.Helper()
	if err := os.Remove(filepath.Join(f.dir, name)); err != nil {
		f.t.Fatal(err)
	}
}

// TestKeyring walks through a rotation, with a broken file on the way.
func TestKeyring(t *testing.T) {
	f := newSeedFiles(t)
	core, logs := observer.New(zapcore.InfoLevel)
	oldPair, newPair := must(nkeys.CreateAccount()), must(nkeys.CreateAccount())
	oldIssuer := f.put("issuer", oldPair)
	oldXKey := f.put("xkey", must(nkeys.CreateCurveKeys()))
	r, err := newKeyring(f.cfg, zap.New(core))
	if err != nil {
		t.Fatal(err)
	}
	holds := func(what string, wantIssuers, wantXKeys []string) {
		t.Helper()
		r.look()
		issuers, xkeys := r.keys().names()
		if !slices.Equal(issuers, wantIssuers) || !slices.Equal(xkeys, wantXKeys) {
			t.Errorf("%s: holds %v and %v", what, issuers, xkeys)
		}
	}
	holds("the next files are missing", []string{oldIssuer}, []string{oldXKey})
	f.text("next", "\n")
	holds("a next file is empty", []string{oldIssuer}, []string{oldXKey})
	if logs.Len() != 0 {
		t.Errorf("nothing changed, and %d entries say so", logs.Len())
	}

	f.text("next", "SAAWRITTENHALF")
	holds("half a seed", []string{oldIssuer}, []string{oldXKey})
	holds("half a seed, still", []string{oldIssuer}, []string{oldXKey})
	if n := logs.FilterLevelExact(zapcore.ErrorLevel).Len(); n != 1 {
		t.Errorf("a broken file is logged %d times", n)
	}

	newIssuer := f.put("next", newPair)
	newXKey := f.put("nextxkey", must(nkeys.CreateCurveKeys()))
	holds("both", []string{oldIssuer, newIssuer}, []string{oldXKey, newXKey})

	f.remove("issuer")
	holds("the first is away for a moment", []string{oldIssuer, newIssuer}, []string{oldXKey, newXKey})
	f.put("issuer", newPair)
	f.remove("next")
	holds("the old one is gone", []string{newIssuer}, []string{oldXKey, newXKey})
	if r.keys().issuer(oldIssuer) != nil || r.keys().issuer(newIssuer) == nil {
		t.Error("the old issuer still signs")
	}
	for _, e := range logs.All() {
		for _, field := range e.Context {
			if field.String != "" && (field.String[0] == 'S' && len(field.String) > 50) {
				t.Errorf("a seed is in the log: %s", e.Message)
			}
		}
	}
}

// Each server is answered by the key that it trusts, and sealed by the xkey that it sealed for.
func TestServersInTheMiddleOfARotation(t *testing.T) {
	now := time.Now()
	oldIssuer, newIssuer := newIssuer(t), newIssuer(t)
	oldXKey, newXKey := must(nkeys.CreateCurveKeys()), must(nkeys.CreateCurveKeys())
	held := &keys{issuers: []*signingKey{oldIssuer, newIssuer}, curves: []nkeys.KeyPair{oldXKey, newXKey}}
	o := &opener{keys: func() *keys { return held }, leeway: defaultClockLeeway}
	for _, row := range []struct {
		issuer *signingKey
		xkey   nkeys.KeyPair
	}{{oldIssuer, oldXKey}, {oldIssuer, newXKey}, {newIssuer, oldXKey}, {newIssuer, newXKey}} {
		server := newAuthority(t)
		claims := server.claims(now)
		claims.Subject, claims.Server.XKey = row.issuer.public, server.xkeyID
		xkey := must(row.xkey.PublicKey())
		req, fail := o.open(server.seal(server.sign(claims), xkey), server.xkeyID, now)
		wantCode(t, fail, 0)
		sealed, fail := newMinter(t).deny(req, time.Now())
		wantCode(t, fail, 0)
		answer, err := server.xkey.Open(sealed, xkey)
		if err != nil {
			t.Fatalf("sealed by the other xkey: %v", err)
		}
		serverReads(t, req, answer, row.issuer.public)
	}
}

// A server whose issuer is not held is not answered: it would turn any answer into an authorization error.
func TestServerTrustsAKeyThatIsNotHeld(t *testing.T) {
	b := newBench(t)
	b.near.onCheck = failsWith(wire.SignatureInvalid)
	claims := b.server.claims(time.Now())
	claims.Subject = newIssuer(t).public
	b.handler.handle(t.Context(), b.message(b.server.sign(claims)))
	record := b.record(t)
	if record[logx.Outcome] != outcomeHungUp || record[logx.Reason] != "issuer_key_missing" || len(b.answers) != 0 {
		t.Errorf("record %v, %d answers", record, len(b.answers))
	}
	if record[logx.Detail] != "the server trusts "+claims.Subject {
		t.Errorf("detail %v", record[logx.Detail])
	}
}

// SIGHUP has the files read at once, and a change is seen without it.
func TestKeyringRuns(t *testing.T) {
	f := newSeedFiles(t)
	f.put("issuer", must(nkeys.CreateAccount()))
	f.cfg.XKeySeedFile, f.cfg.NextXKeySeedFile = "", ""
	r, err := newKeyring(f.cfg, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	hangup := make(chan os.Signal, 1)
	go r.run(ctx, hangup)
	for n, signalled := range []bool{true, false} {
		public := f.put("next", must(nkeys.CreateAccount()))
		if signalled {
			hangup <- syscall.SIGHUP
		}
		natstest.Eventually(t, "the new key is held", func() bool { return r.keys().issuer(public) != nil })
		if len(r.keys().issuers) != 2 {
			t.Errorf("%d: %d keys", n, len(r.keys().issuers))
		}
	}
}
