package faults_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nkeys"

	"harmony.internal/authcallout/e2e/cluster"
	"harmony.internal/authcallout/e2e/faults"
	"harmony.internal/authcallout/shared/logx"
	"harmony.internal/authcallout/shared/oidctest"
	"harmony.internal/authcallout/shared/wire"
)

// Names of the next seeds, beside the services' configuration.
const (
	nextIssuer = "next-issuer.nk"
	nextXKey   = "next-callout.xk"
)

// seeds are one issuer and one xkey.
type seeds struct{ issuer, xkey nkeys.KeyPair }

func newSeeds(t *testing.T) seeds {
	t.Helper()
	issuer, err := nkeys.CreateAccount()
	if err != nil {
		t.Fatal(err)
	}
	xkey, err := nkeys.CreateCurveKeys()
	if err != nil {
		t.Fatal(err)
	}
	return seeds{issuer, xkey}
}

func public(t *testing.T, pair nkeys.KeyPair) string {
	t.Helper()
	key, err := pair.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func read(t *testing.T, file string) nkeys.KeyPair {
	t.Helper()
	seed, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := nkeys.FromSeed([]byte(strings.TrimSpace(string(seed))))
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

func write(t *testing.T, file string, pair nkeys.KeyPair) {
	t.Helper()
	seed, err := pair.Seed()
	if err == nil {
		err = os.WriteFile(file, seed, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// rotation is a system whose keys are replaced.
type rotation struct {
	*cluster.Cluster
	old, next seeds
}

func startRotation(t *testing.T, shape cluster.Shape) *rotation {
	t.Helper()
	settings := fmt.Sprintf("next_issuer_seed_file: %s\n", nextIssuer)
	if shape.Sealed {
		settings += fmt.Sprintf("next_xkey_seed_file: %s\n", nextXKey)
	}
	c := cluster.Start(t, cluster.Options{
		Shape: shape, Processes: true, ServerProcesses: true, Replicas: replicas, Issuer: oidctest.New(t, "EdDSA"),
		Settings: map[string]string{wire.QueueCallout: settings},
	})
	return &rotation{Cluster: c, old: seeds{read(t, c.IssuerFile()), read(t, c.XKeyFile())}, next: newSeeds(t)}
}

// addNext gives the callouts the next seeds.
func (r *rotation) addNext(t *testing.T) {
	t.Helper()
	write(t, filepath.Join(r.Dir(), nextIssuer), r.next.issuer)
	if r.Shape.Sealed {
		write(t, filepath.Join(r.Dir(), nextXKey), r.next.xkey)
	}
	r.taken(t, public(t, r.old.issuer), public(t, r.next.issuer))
}

// dropOld makes the next seeds the only ones.
func (r *rotation) dropOld(t *testing.T) {
	t.Helper()
	write(t, r.IssuerFile(), r.next.issuer)
	write(t, r.XKeyFile(), r.next.xkey)
	for _, name := range []string{nextIssuer, nextXKey} {
		if err := os.RemoveAll(filepath.Join(r.Dir(), name)); err != nil {
			t.Fatal(err)
		}
	}
	r.taken(t, public(t, r.next.issuer))
}

// taken tells every callout that its files changed and waits until each holds these issuers.
func (r *rotation) taken(t *testing.T, issuers ...string) {
	t.Helper()
	want := `"issuer_keys":["` + strings.Join(issuers, `","`) + `"]`
	for _, callout := range r.Replicas(wire.QueueCallout) {
		callout.Hangup(t)
		cluster.Eventually(t, "the callout holds "+want, func() bool { return strings.Contains(callout.Log().String(), want) })
	}
}

// restart starts one server again with the next keys: auth_callout is no part of what a reload can change.
func (r *rotation) restart(t *testing.T, s *cluster.Server) {
	t.Helper()
	changes := map[string]string{public(t, r.old.issuer): public(t, r.next.issuer)}
	if r.Shape.Sealed {
		changes[public(t, r.old.xkey)] = public(t, r.next.xkey)
	}
	s.Change(t, changes)
	s.Stop()
	s.Start(t)
	r.WaitRoutes(t)
}

// TestRotation replaces issuer and xkey as docs/faults.md says, under load: seeds to the callouts, servers one by one, old
// seeds away. Each server is answered by the keys that it names: no request is refused, whichever keys its server has.
func TestRotation(t *testing.T) {
	for _, shape := range []cluster.Shape{cluster.Reference(), cluster.Sealed(), cluster.Three()} {
		t.Run(shape.Name, func(t *testing.T) {
			t.Parallel()
			r := startRotation(t, shape)
			l := faults.StartLoad(t, r.Cluster)
			time.Sleep(before)
			r.addNext(t)
			for _, s := range r.Servers {
				r.restart(t, s)
				time.Sleep(after)
			}
			r.dropOld(t)
			time.Sleep(after)
			t.Logf("rotation: %v", l.Stop())
			for _, record := range r.Records() {
				switch record.Text(logx.Reason) {
				case "issuer_key_missing", "request_seal":
					t.Errorf("%v", record)
				}
			}
		})
	}
}

// TestRotationInTheWrongOrder restarts the server before the callouts hold its new keys: nobody is admitted until they do, and
// nobody is lost.
func TestRotationInTheWrongOrder(t *testing.T) {
	for _, shape := range []cluster.Shape{cluster.Reference(), cluster.Sealed()} {
		t.Run(shape.Name, func(t *testing.T) {
			t.Parallel()
			r := startRotation(t, shape)
			l := faults.StartLoad(t, r.Cluster)
			time.Sleep(before)
			r.restart(t, r.Servers[0])
			time.Sleep(3 * time.Second)
			r.addNext(t)
			time.Sleep(after)
			t.Logf("wrong order: %v", l.Stop())
			reason := "issuer_key_missing"
			if shape.Sealed {
				reason = "request_seal" // it cannot even be opened
			}
			if r.Count(logx.Reason, reason) == 0 {
				t.Errorf("no record says %s", reason)
			}
		})
	}
}
