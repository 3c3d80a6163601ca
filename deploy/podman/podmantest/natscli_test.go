//go:build podman

package podmantest

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"harmony.internal/authcallout/shared/wire"
)

// malformed is a token whose header is good and whose claims are no JSON.
const malformed = "eyJhbGciOiJSUzI1NiIsImtpZCI6IjEifQ.bm90IEpTT04.c2ln"

// replicas of each service in the compose file.
const replicas = 2

// cli runs the nats tool as the operator.
func (r *rig) cli(t *testing.T, args ...string) string {
	t.Helper()
	if _, err := exec.LookPath("nats"); err != nil {
		t.Fatalf("%v: make test-podman installs it", err)
	}
	cmd := exec.CommandContext(t.Context(), "nats", append([]string{"--server", r.listen, "--nkey", r.State.Files().Operator, "--timeout", "3s"}, args...)...)
	if r.secure != nil {
		cmd.Args = append(cmd.Args, "--tlsca", filepath.Join(filepath.Dir(r.File), "tls.crt"))
	}
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir())
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("nats %s: %v: %s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// replica is what micro's info and stats say of one.
type replica struct {
	Name      string            `json:"name"`
	ID        string            `json:"id"`
	Version   string            `json:"version"`
	Metadata  map[string]string `json:"metadata"`
	Endpoints []struct {
		Name     string `json:"name"`
		Requests int    `json:"num_requests"`
		Errors   int    `json:"num_errors"`
		Data     struct {
			Service json.RawMessage `json:"service"`
		} `json:"data"`
	} `json:"endpoints"`
}

// asReplicas asks until all replicas answer: the tool waits a third of a second for them, which a busy machine may exceed.
func (r *rig) asReplicas(t *testing.T, args ...string) []replica {
	t.Helper()
	var all []replica
	eventually(t, "all replicas answer nats "+strings.Join(args, " "), func() bool {
		text := r.cli(t, append(args, "--json")...)
		if err := json.Unmarshal([]byte(text), &all); err != nil {
			t.Fatalf("nats %s: %v\n%s", strings.Join(args, " "), err, text)
		}
		return len(all) == replicas
	})
	return all
}

// endpoint is a service's one endpoint that logins go through.
var endpoint = map[string]string{wire.QueueCallout: "auth", wire.QueueTokencheck: "check", wire.QueuePolicy: "decide"}

// totals of a service over its replicas.
type totals struct {
	requests, errors int
	reasons          map[string]int // of those not admitted
	keySets          map[string]bool
	generations      map[uint64]bool
	policies         map[string]bool
}

func (r *rig) totals(t *testing.T, service string) totals {
	t.Helper()
	sum := totals{reasons: map[string]int{}, keySets: map[string]bool{}, generations: map[uint64]bool{}, policies: map[string]bool{}}
	for _, one := range r.asReplicas(t, "micro", "stats", service) {
		for _, e := range one.Endpoints {
			if e.Name != endpoint[service] {
				continue
			}
			sum.requests += e.Requests
			sum.errors += e.Errors
			var own struct {
				Reasons map[string]int `json:"reasons"` // callout
				Refused map[string]int `json:"refused"` // tokencheck, policy
				Issuers map[string]struct {
					KeySet string `json:"key_set"`
				} `json:"issuers"`
				Hash       string `json:"policy_hash"`
				Generation uint64 `json:"policy_generation"`
			}
			if err := json.Unmarshal(e.Data.Service, &own); err != nil {
				t.Fatalf("statistics of %s: %v\n%s", service, err, e.Data.Service)
			}
			for _, counts := range []map[string]int{own.Reasons, own.Refused} {
				for reason, n := range counts {
					sum.reasons[reason] += n
				}
			}
			for _, issuer := range own.Issuers {
				sum.keySets[issuer.KeySet] = true
			}
			sum.generations[own.Generation], sum.policies[own.Hash] = true, true
		}
	}
	return sum
}

// natsCLI looks at the services with the real command line tool, as an operator would, and compares what it shows with the
// logins made.
func (r *rig) natsCLI(t *testing.T) {
	for service := range endpoint {
		all := r.asReplicas(t, "micro", "ls", service)
		for _, one := range all {
			if one.Name != service || one.Version != testVersion || one.Metadata["config"] == "" || one.Metadata["config"] != all[0].Metadata["config"] {
				t.Errorf("micro ls %s: %+v", service, one)
			}
			if out := r.cli(t, "micro", "info", service, one.ID); !strings.Contains(out, testVersion) || !strings.Contains(out, one.ID) {
				t.Errorf("micro info %s %s:\n%s", service, one.ID, out)
			}
		}
	}
	out := r.cli(t, "micro", "ping")
	for service := range endpoint {
		if strings.Count(out, service+" ") != replicas {
			t.Errorf("micro ping:\n%s", out)
		}
	}
	before := map[string]totals{}
	for service := range endpoint {
		before[service] = r.totals(t, service)
	}
	const good, bad = 7, 3
	attempts := r.logIn(t, good)
	for range bad {
		if nc, err := nats.Connect("nats://"+r.listen, nats.Token(malformed), nats.NoReconnect(), nats.Timeout(patience)); err == nil {
			nc.Close()
			t.Error("a token that is none was let in")
		}
	}
	after := map[string]totals{}
	for service := range endpoint {
		after[service] = r.totals(t, service)
	}
	delta := func(service string) int { return after[service].requests - before[service].requests }
	if got := delta(wire.QueueCallout); got != attempts+bad {
		t.Errorf("callout counts %d requests, %d logins were tried", got, attempts+bad)
	}
	// A request that was sent to a second replica counts at both.
	if got := delta(wire.QueueTokencheck); got < attempts+bad {
		t.Errorf("tokencheck counts %d requests of %d logins", got, attempts+bad)
	}
	if got := delta(wire.QueuePolicy); got < good || got > 2*attempts {
		t.Errorf("policy counts %d requests of %d good logins", got, attempts)
	}
	const reason = "token_malformed"
	for _, service := range []string{wire.QueueCallout, wire.QueueTokencheck} {
		if got := after[service].reasons[reason] - before[service].reasons[reason]; got != bad {
			t.Errorf("%s counts %d times %s, want %d", service, got, reason, bad)
		}
	}
	if got := after[wire.QueueTokencheck].errors - before[wire.QueueTokencheck].errors; got != bad {
		t.Errorf("tokencheck's errors: %d, want %d", got, bad)
	}
	if sets := after[wire.QueueTokencheck].keySets; len(sets) != 1 || sets[""] {
		t.Errorf("the replicas' key sets: %v, want one", sets)
	}
	if p := after[wire.QueuePolicy]; len(p.policies) != 1 || p.policies[""] || len(p.generations) != 1 || p.generations[0] {
		t.Errorf("the replicas' policies: %v, generations %v, want one", p.policies, p.generations)
	}
}

// logIn makes n good logins and returns how many attempts they took: on a slow machine one may be hung up on.
func (r *rig) logIn(t *testing.T, n int) (attempts int) {
	t.Helper()
	token := r.token(t, "sensor-a")
	for done := 0; done < n; attempts++ {
		if attempts > 10*n {
			t.Fatalf("%d of %d logins after %d attempts", done, n, attempts)
		}
		nc, err := nats.Connect("nats://"+r.listen, nats.Token(token), nats.NoReconnect(), nats.Timeout(patience))
		if err != nil {
			t.Logf("a login: %v", err)
			continue
		}
		nc.Close()
		done++
	}
	return attempts
}
