package e2e_test

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"harmony.internal/authcallout/e2e/cluster"
	"harmony.internal/authcallout/services/tokencheck"
	"harmony.internal/authcallout/shared/oidctest"
	"harmony.internal/authcallout/shared/wire"
)

// providerOutage is how long the provider is down in TestProviderDown.
var providerOutage = flag.Duration("provider-outage", 10*time.Second, "how long the provider is down")

// crowd is devices that log in one after the other, each once and with one attempt, until it is told to stop.
type crowd struct {
	stop     chan struct{}
	running  sync.WaitGroup
	admitted atomic.Int64

	mu     sync.Mutex // guards the rest
	failed []error
	took   []time.Duration
}

// newCrowd has workers log in with what token returns.
func newCrowd(t *testing.T, c *cluster.Cluster, workers int, token func(n int64) string) *crowd {
	t.Helper()
	w := &crowd{stop: make(chan struct{})}
	var next atomic.Int64
	for range workers {
		w.running.Go(func() {
			for {
				select {
				case <-w.stop:
					return
				default:
					w.login(c, token(next.Add(1)))
				}
			}
		})
	}
	return w
}

func (w *crowd) login(c *cluster.Cluster, token string) {
	start := time.Now()
	nc, err := c.Dial(nats.Token(token), nats.MaxReconnects(0))
	if err == nil {
		nc.Close()
		w.admitted.Add(1)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.took = append(w.took, time.Since(start))
	if err != nil {
		w.failed = append(w.failed, err)
	}
}

// end stops the crowd and returns how many were let in and why the others were not.
func (w *crowd) end() (admitted int64, failed []error) {
	close(w.stop)
	w.running.Wait()
	return w.admitted.Load(), w.failed
}

// grow waits until n more have been let in.
func (w *crowd) grow(t *testing.T, n int64) {
	t.Helper()
	want := w.admitted.Load() + n
	cluster.Eventually(t, fmt.Sprintf("%d more logins", n), func() bool { return w.admitted.Load() >= want })
}

func (w *crowd) slowest() time.Duration { return slices.Max(w.took) }

// TestRotationUnderLoad rotates the signing key while devices log in, with two replicas: no login fails, whether the key is
// published before its first use, with it, or 300 ms later.
func TestRotationUnderLoad(t *testing.T) {
	for name, publish := range map[string]func(idp *oidctest.Issuer, k *oidctest.Key){
		"before": nil,
		"with":   func(idp *oidctest.Issuer, k *oidctest.Key) { idp.Publish(k) },
		"300 ms later": func(idp *oidctest.Issuer, k *oidctest.Key) {
			time.AfterFunc(300*time.Millisecond, func() { idp.Publish(k) })
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			idp := oidctest.New(t, "ES256")
			c := cluster.Start(t, cluster.Options{Shape: cluster.Sealed(), Issuer: idp, Replicas: 2})
			var newest atomic.Pointer[oidctest.Key]
			newest.Store(idp.Key(t, "ES256"))
			var byNew atomic.Int64
			w := newCrowd(t, c, 4, func(n int64) string {
				k := newest.Load()
				if k != nil && k.ID != idp.Key(t, "ES256").ID {
					byNew.Add(1)
				}
				return k.Sign(t, nil, idp.AccessToken(fmt.Sprint("sensor-", n)))
			})
			w.grow(t, 20)
			before := idp.KeyFetches()
			k := otherKey(t)
			if publish == nil {
				idp.Publish(k)
			} else {
				publish(idp, k)
			}
			newest.Store(k)
			w.grow(t, 100)
			admitted, failed := w.end()
			t.Logf("%d logins, %d with the new key, %d failed, slowest %s, %d fetches", admitted, byNew.Load(), len(failed), w.slowest(), idp.KeyFetches()-before)
			if len(failed) > 0 {
				t.Errorf("%d of %d failed: %v", len(failed), admitted, errors.Join(failed[:min(len(failed), 5)]...))
			}
			if byNew.Load() < 50 {
				t.Errorf("%d logins with the new key", byNew.Load())
			}
			if n := c.Count("outcome", "admitted"); int64(n) != admitted {
				t.Errorf("%d admissions on record, %d logins", n, admitted)
			}
		})
	}
}

// otherKey is a key that no provider has published.
func otherKey(t *testing.T) *oidctest.Key {
	t.Helper()
	return oidctest.New(t, "ES256").Key(t, "ES256")
}

// down has a provider close every connection.
func down(idp *oidctest.Issuer) {
	idp.Handle(func(w http.ResponseWriter, _ *http.Request) {
		if conn, _, err := w.(http.Hijacker).Hijack(); err == nil {
			_ = conn.Close() // that is the outage
		}
	})
}

// TestProviderDown has devices log in for the whole of an outage of the provider; then each tokencheck dies and comes back
// while it still lasts. All are let in.
func TestProviderDown(t *testing.T) {
	t.Parallel()
	c := cluster.Start(t, cluster.Options{
		Shape: cluster.Sealed(), Issuer: oidctest.New(t, "ES256"), Processes: true, Replicas: 2,
		Settings: map[string]string{wire.QueueTokencheck: "last_good_directory: keys\n"},
	})
	key := c.Issuer.Key(t, "ES256")
	token := func(n int64) string { return key.Sign(t, nil, c.Issuer.AccessToken(fmt.Sprint("sensor-", n))) }
	down(c.Issuer)
	w := newCrowd(t, c, 2, token)
	for end := time.Now().Add(*providerOutage); time.Now().Before(end); {
		w.grow(t, 10)
	}
	admitted, failed := w.end()
	t.Logf("outage of %s: %d logins, %d failed, slowest %s", *providerOutage, admitted, len(failed), w.slowest())
	if len(failed) > 0 {
		t.Errorf("%d failed: %v", len(failed), errors.Join(failed[:min(len(failed), 5)]...))
	}

	for _, r := range c.Replicas(wire.QueueTokencheck) {
		r.Kill(t)
	}
	for _, r := range c.Replicas(wire.QueueTokencheck) {
		r.Start(t)
	}
	c.WaitServing(t)
	w = newCrowd(t, c, 2, token)
	w.grow(t, 50)
	admitted, failed = w.end()
	t.Logf("after the restart: %d logins, %d failed, slowest %s", admitted, len(failed), w.slowest())
	if len(failed) > 0 {
		t.Errorf("after the restart %d failed: %v", len(failed), errors.Join(failed[:min(len(failed), 5)]...))
	}
	for _, r := range c.Replicas(wire.QueueTokencheck) {
		if good := r.Scrape(t).Sum("authcallout_keyset_fetches_total", "result", "good"); good != 0 {
			t.Errorf("%v good fetches: the provider was not down", good)
		}
	}

	c.Issuer.Heal()
	for _, r := range c.Replicas(wire.QueueTokencheck) {
		cluster.Eventually(t, "the keys are fetched again", func() bool {
			return r.Scrape(t).Sum("authcallout_keyset_fetches_total", "result", "good") > 0
		})
	}
}

// TestTokenFlood floods with bad signatures under a known kid and with random kids, while others log in: these are unharmed,
// and the provider is asked no more often than is permitted.
func TestTokenFlood(t *testing.T) {
	t.Parallel()
	const replicas, lasts = 2, 8 * time.Second
	idp := oidctest.New(t, "ES256")
	c := cluster.Start(t, cluster.Options{Shape: cluster.Sealed(), Issuer: idp, Replicas: replicas})
	key := idp.Key(t, "ES256")
	before := idp.KeyFetches()
	flood := newCrowd(t, c, 16, func(n int64) string {
		token := key.Sign(t, nil, idp.AccessToken("sensor-x"))
		if n%2 == 0 {
			return token[:len(token)-40] + strings.Repeat("A", 40)
		}
		return key.Sign(t, map[string]any{"kid": fmt.Sprint("random-", n)}, idp.AccessToken("sensor-x"))
	})
	good := newCrowd(t, c, 2, func(n int64) string {
		return key.Sign(t, nil, idp.AccessToken(fmt.Sprint("sensor-", n)))
	})
	for end := time.Now().Add(lasts); time.Now().Before(end); {
		good.grow(t, 10)
	}
	admitted, failed := good.end()
	intruders, turnedAway := flood.end()
	fetches := idp.KeyFetches() - before
	t.Logf("%d good logins, %d failed, slowest %s; %d bad ones turned away; %d fetches by %d replicas in %s",
		admitted, len(failed), good.slowest(), len(turnedAway), fetches, replicas, lasts)
	if len(failed) > 0 {
		t.Errorf("%d good logins failed: %v", len(failed), errors.Join(failed[:min(len(failed), 5)]...))
	}
	if intruders != 0 || len(turnedAway) < 50 {
		t.Errorf("%d bad tokens were let in, %d turned away", intruders, len(turnedAway))
	}
	// Twelve a minute for each replica, however long the machine took, and one on schedule.
	if fetches > replicas*13 {
		t.Errorf("%d fetches", fetches)
	}
	if n := c.Count("reason", wire.SignatureInvalid.String()); n == 0 {
		t.Error("no signature was found to be bad")
	}
}

// TestRemovedKey takes a key away at the provider: at the next refresh its tokens stop being accepted, also those that were
// verified a moment ago.
func TestRemovedKey(t *testing.T) {
	t.Parallel()
	idp := oidctest.New(t, "ES256", "RS256")
	c := cluster.Start(t, cluster.Options{Shape: cluster.Sealed(), Issuer: idp})
	gone := idp.Key(t, "RS256")
	token := gone.Sign(t, nil, idp.AccessToken("sensor-a"))
	for range 2 {
		c.Connect(t, nats.Token(token)).Close()
	}
	if hits := c.Replicas(wire.QueueTokencheck)[0].Scrape(t).Sum("authcallout_token_cache_total", "result", "hit"); hits != 1 {
		t.Errorf("%v hits, want 1: the token must be remembered", hits)
	}
	idp.Remove(gone)
	k := idp.Rotate(t, "ES256") // its first login is what has the keys fetched
	c.Connect(t, nats.Token(k.Sign(t, nil, idp.AccessToken("sensor-b")))).Close()
	cluster.Eventually(t, "the token is refused for its key", func() bool {
		nc, err := c.Dial(nats.Token(token), nats.MaxReconnects(0))
		if err == nil {
			nc.Close()
			t.Fatal("a token of a key that is gone was let in")
		}
		return c.Count("reason", wire.KeyUnknown.String()) > 0
	})
}

// keySets asks every tokencheck over NATS which keys it has: by metadata and by statistics, each replica's.
func keySets(t *testing.T, c *cluster.Cluster, nc *nats.Conn, replicas int) (byInfo, byStats []string) {
	t.Helper()
	for _, info := range c.Infos(t, nc, wire.QueueTokencheck, replicas) {
		byInfo = append(byInfo, info.Metadata["key_sets"]+" "+info.Metadata["key_set "+c.Issuer.URL])
	}
	sub, err := nc.SubscribeSync(nc.NewInbox())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = sub.Unsubscribe() }() // the connection may be closed by then
	if err := nc.PublishRequest("$SRV.STATS."+wire.QueueTokencheck, sub.Subject, nil); err != nil {
		t.Fatal(err)
	}
	for range replicas {
		m, err := sub.NextMsg(time.Second)
		if err != nil {
			break
		}
		var stats struct {
			Endpoints []struct {
				Name string `json:"name"`
				Data struct {
					Service tokencheck.Stats `json:"service"`
				} `json:"data"`
			} `json:"endpoints"`
		}
		if err := json.Unmarshal(m.Data, &stats); err != nil {
			t.Fatal(err)
		}
		for _, e := range stats.Endpoints {
			if e.Name == "check" {
				byStats = append(byStats, e.Data.Service.Issuers[c.Issuer.URL].KeySet)
			}
		}
	}
	return byInfo, byStats
}

// TestReplicasAgree shows by micro's info and statistics that two replicas have the same keys, that they differ when one alone
// has seen a rotation, and that they agree again.
func TestReplicasAgree(t *testing.T) {
	t.Parallel()
	idp := oidctest.New(t, "ES256")
	c := cluster.Start(t, cluster.Options{Shape: cluster.Sealed(), Issuer: idp, Replicas: 2})
	nc := c.Connect(t, c.Operator(t))
	agreed := func() (string, bool) {
		byInfo, byStats := keySets(t, c, nc, 2)
		if len(byInfo) != 2 || len(byStats) != 2 || byInfo[0] != byInfo[1] || byStats[0] != byStats[1] || byStats[0] == "" || !strings.HasSuffix(byInfo[0], " "+byStats[0]) {
			return fmt.Sprint(byInfo, byStats), false
		}
		return byInfo[0], true
	}
	var first, second string
	cluster.Eventually(t, "two replicas agree", func() (ok bool) { first, ok = agreed(); return ok })
	k := idp.Rotate(t, "ES256")
	login := func(n int) {
		c.Connect(t, nats.Token(k.Sign(t, nil, idp.AccessToken(fmt.Sprint("sensor-", n))))).Close()
	}
	login(0)
	drifted := false
	cluster.Eventually(t, "the replica that saw the rotation says so", func() bool {
		_, byStats := keySets(t, c, nc, 2)
		drifted = drifted || len(byStats) == 2 && byStats[0] != byStats[1]
		return drifted
	})
	n := 0
	cluster.Eventually(t, "both replicas have the new key", func() bool {
		n++
		login(n)
		var ok bool
		second, ok = agreed()
		return ok && second != first
	})
	t.Logf("before %s, after %s and %d logins", first, second, n)
}
