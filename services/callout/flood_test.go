package callout

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"harmony.internal/authcallout/shared/natstest"
	"harmony.internal/authcallout/shared/wire"
)

// The flood: so many connections at once, each of which comes again as soon as it was answered or let go, and tokencheck's
// capacity, which is a third of what they ask for. Both are small, so that a busy machine is not what keeps anybody waiting.
const (
	flooding  = 80
	atOnce    = 2
	checkTook = 150 * time.Millisecond
)

// TestFloodFromOneAddress has one address ask for several times what can be done, with tokens that are good or with garbage. Whoever
// logs in from another address meanwhile gets its turn within the time that a default client waits. Without equal shares
// nearly all of them fail, round after round: the flood's newest are always newer. A round may fail: on a machine that stands still
// for a moment, or because its address shares the flood's lane, as one in 256 does; each has an address of its own.
func TestFloodFromOneAddress(t *testing.T) {
	for _, row := range []struct {
		top   *natstest.Topology
		token func(n int64) string
	}{
		{natstest.Reference(t), func(n int64) string { return fmt.Sprint("garbage-", n) }},
		{natstest.Hardened(t, true), func(int64) string { return deviceToken }},
	} {
		t.Run(row.top.Name, func(t *testing.T) {
			t.Parallel()
			places := make(chan struct{}, atOnce)
			w := startWorldWith(t, row.top, func(q *wire.CheckRequest) (*wire.Verified, *wire.Error) {
				places <- struct{}{}
				defer func() { <-places }()
				time.Sleep(checkTook)
				return goodToken(q)
			}, func(c *Config) { c.MaxInFlight = atOnce })
			attempts := flood(t, w.server, row.token)
			natstest.Eventually(t, "more is asked for than can be done", func() bool {
				o := w.service.stats().Outcomes
				return o[outcomeHungUp]+o[outcomeSilent] > flooding/4
			})
			const rounds, logins, most = 4, 12, 1
			for round := 1; ; round++ {
				failed := failedLogins(w.server, net.IPv4(127, 0, 1, byte(round)), logins)
				t.Logf("%d of %d logins failed beside %d of the flood", failed, logins, attempts.Load())
				switch {
				case failed <= most:
					return
				case round == rounds:
					t.Fatalf("more than %d of %d logins from another address failed, %d times over", most, logins, rounds)
				}
			}
		})
	}
}

// failedLogins is how many of n logins from an address, one after the other, failed within the time of a default client.
func failedLogins(s *server.Server, from net.IP, n int) int {
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: from}, Timeout: nats.DefaultTimeout}
	failed := 0
	for range n {
		nc, err := nats.Connect(s.ClientURL(), nats.Token(deviceToken), nats.SetCustomDialer(dialer))
		if err != nil {
			failed++
			continue
		}
		nc.Close()
	}
	return failed
}

// flood connects from an address of its own until the test ends, and counts the attempts.
func flood(t *testing.T, s *server.Server, token func(n int64) string) *atomic.Int64 {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	t.Cleanup(func() { stop(); running.Wait() })
	var attempts atomic.Int64
	from := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}} // Linux has all of 127/8
	first, err := from.DialContext(ctx, "tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	_ = first.Close()
	for range flooding {
		running.Go(func() {
			for ctx.Err() == nil {
				floodOnce(ctx, from, s.Addr().String(), token(attempts.Add(1)))
			}
		})
	}
	return &attempts
}

// floodOnce is one login, over when the server has answered or closed, or a default client would have left.
func floodOnce(ctx context.Context, from net.Dialer, address, token string) {
	conn, err := from.DialContext(ctx, "tcp", address)
	if err != nil {
		return
	}
	defer func() { _ = conn.Close() }()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	_ = conn.SetDeadline(time.Now().Add(nats.DefaultTimeout))
	r := bufio.NewReader(conn)
	if _, err := r.ReadString('\n'); err != nil {
		return
	}
	_, _ = fmt.Fprintf(conn, "CONNECT {\"auth_token\":%q,\"lang\":\"raw\",\"version\":\"1\",\"protocol\":1}\r\nPING\r\n", token)
	_, _ = r.ReadString('\n') // whatever it is
}
