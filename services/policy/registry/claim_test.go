package registry

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

var (
	errCrash = errors.New("killed")
	start    = time.Unix(1_800_000_000, 0)
)

// world is a bucket whose clock stands still.
type world struct {
	history map[string][]cell
	last    uint64
	late    []func() // writes on their way, of claims that ended
}

func (w *world) at(key string) cell {
	if h := w.history[key]; len(h) > 0 {
		return h[len(h)-1]
	}
	return cell{}
}

func (w *world) write(key string, value []byte, revision uint64, live bool) (uint64, error) {
	if w.at(key).revision != revision {
		return 0, errMoved
	}
	w.last++
	w.history[key] = append(w.history[key], cell{value, w.last, start, live})
	return w.last, nil
}

// fault is what happens to one operation of a claim.
type fault int

const (
	none   fault = iota
	before       // killed before it
	after        // killed after it: a write is done, its answer lost
	late         // killed, and a write is done at some later time
	stale        // a read is answered by a follower that is behind
)

// faulty are a world's cells for one claim; next says what happens to an operation, and returns when it may happen.
type faulty struct {
	w    *world
	next func() (f fault, behind int)
}

func (f faulty) get(_ context.Context, key string) (cell, error) {
	what, behind := f.next()
	switch h := f.w.history[key]; {
	case what == before || what == after || what == late:
		return cell{}, errCrash
	case what == stale && len(h) > 0 && behind%(len(h)+1) > 0:
		return h[len(h)-behind%(len(h)+1)], nil
	case what == stale:
		return cell{}, nil
	}
	return f.w.at(key), nil
}

func (f faulty) put(_ context.Context, key string, value []byte, revision uint64) (uint64, error) {
	return f.write(key, value, revision, true)
}

func (f faulty) del(_ context.Context, key string, revision uint64) error {
	_, err := f.write(key, nil, revision, false)
	return err
}

func (f faulty) write(key string, value []byte, revision uint64, live bool) (uint64, error) {
	switch what, _ := f.next(); what {
	case before:
		return 0, errCrash
	case after:
		_, _ = f.w.write(key, value, revision, live) // the answer is lost
		return 0, errCrash
	case late:
		f.w.late = append(f.w.late, func() { _, _ = f.w.write(key, value, revision, live) })
		return 0, errCrash
	}
	return f.w.write(key, value, revision, live)
}

// check fails unless an identity has at most one device, and every device that was admitted is its.
func (w *world) check(t *testing.T, about string, admitted map[string]Identity) {
	t.Helper()
	owned := map[Identity]string{}
	for key := range w.history {
		c := w.at(key)
		if strings.HasPrefix(key, markerPrefix) || !c.live {
			continue
		}
		e, err := parseEntry(key, c.value)
		if err != nil {
			t.Fatal(err)
		}
		if other, ok := owned[e.Identity]; ok {
			t.Fatalf("%s: %v owns %s and %s", about, e.Identity, other, e.DeviceID)
		}
		owned[e.Identity] = e.DeviceID
	}
	for device, id := range admitted {
		if owned[id] != device {
			t.Fatalf("%s: %v was admitted as %s, and owns %q", about, id, device, owned[id])
		}
	}
}

// TestClaimFaults is every fault at every operation of a first claim, followed by a claim of each kind.
func TestClaimFaults(t *testing.T) {
	ok := func() (fault, int) { return none, 0 }
	for _, then := range []struct {
		name   string
		id     Identity
		device string
		age    time.Duration
		may    []error // nil is admitted
	}{
		{"again", alice, "a", 0, []error{nil}},
		{"another device", alice, "b", 0, []error{nil, errOther, errPending}},
		{"another device, later", alice, "b", pendingFor, []error{nil, errOther}},
		{"another identity", bob, "a", 0, []error{nil, errTaken}},
	} {
		for _, what := range []fault{none, before, after, late} {
			for n := range 4 {
				about := fmt.Sprintf("%s, fault %d at %d", then.name, what, n)
				w, admitted := &world{history: map[string][]cell{}}, map[string]Identity{}
				at := -1
				_, _ = claimer{faulty{w, func() (fault, int) { // it may be killed
					if at++; at == n {
						return what, 0
					}
					return none, 0
				}}, time.Now}.claim(t.Context(), alice, "a")
				now := func() time.Time { return start.Add(then.age) }
				owner, err := claimer{faulty{w, ok}, now}.claim(t.Context(), then.id, then.device)
				switch {
				case err == nil && owner != then.id:
					err = errTaken
				case err == nil:
					admitted[then.device] = then.id
				}
				allowed := false
				for _, e := range then.may {
					allowed = allowed || errors.Is(err, e)
				}
				if !allowed {
					t.Errorf("%s: %v", about, err)
				}
				w.check(t, about, admitted)
				for _, f := range w.late {
					f()
				}
				w.check(t, about+", late write", admitted)
			}
		}
	}
}

var errTaken = errors.New("taken")

// TestClaimInterleaved is claims that run at once, step by step in random order and with random faults: after each step
// an identity has one device at most.
func TestClaimInterleaved(t *testing.T) {
	const worlds, claims = 2_000, 6
	faults, won := 0, 0
	for seed := range uint64(worlds) {
		r := rand.New(rand.NewPCG(seed, 1))
		about := fmt.Sprint("world ", seed)
		w, admitted := &world{history: map[string][]cell{}}, map[string]Identity{}
		age := time.Duration(seed%2) * pendingFor // nothing is old, or everything is: no clock is needed
		type turn struct {
			f      fault
			behind int
		}
		var running []chan turn
		idle := make(chan bool) // a claim waits for its turn, or has ended
		for range claims {
			id, device, mine := []Identity{alice, alice, bob}[r.IntN(3)], []string{"a", "b", "c"}[r.IntN(3)], make(chan turn)
			running = append(running, mine)
			go func() {
				owner, err := claimer{faulty{w, func() (fault, int) { idle <- false; do := <-mine; return do.f, do.behind }},
					func() time.Time { return start.Add(age) }}.claim(context.Background(), id, device)
				if err == nil && owner == id {
					admitted[device] = id
				}
				idle <- true
			}()
			<-idle
		}
		for len(running) > 0 {
			i, do := r.IntN(len(running)), turn{none, r.IntN(4)}
			if r.IntN(4) == 0 {
				do.f = fault(1 + r.IntN(4))
				faults++
			}
			running[i] <- do
			if <-idle {
				running = append(running[:i], running[i+1:]...)
			}
			if n := len(w.late); n > 0 && r.IntN(3) == 0 {
				w.late[n-1]()
				w.late = w.late[:n-1]
			}
			w.check(t, about, admitted)
		}
		for _, f := range w.late {
			f()
		}
		w.check(t, about, admitted)
		won += len(admitted)
	}
	if faults == 0 || won == 0 {
		t.Errorf("%d faults, %d admitted", faults, won)
	}
}

// TestMarkers: no device has a marker's key, and identities that differ have different ones.
func TestMarkers(t *testing.T) {
	seen := map[string]bool{}
	for _, id := range []Identity{alice, bob, foreign, {"a", "bc"}, {"ab", "c"}} {
		key, err := markerKey(id)
		if err != nil || seen[key] {
			t.Errorf("%v: %q %v", id, key, err)
		}
		seen[key] = true
		if device, err := deviceOf(key); err == nil {
			t.Errorf("%s is the key of %q", key, device)
		}
		for _, device := range []string{key, "by", "by." + key, strings.TrimPrefix(key, markerPrefix)} {
			if Key(device) == key || strings.HasPrefix(Key(device), markerPrefix) {
				t.Errorf("device %q has the marker's key %s", device, key)
			}
		}
	}
}
