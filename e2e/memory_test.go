package e2e_test

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"harmony.internal/authcallout/e2e/cluster"
	"harmony.internal/authcallout/shared/wire"
)

// TestLongTokensFillNoMemory: anybody can make a token as long as nats-server lets him, and come again and again. What the
// services keep of such logins must not add up: the containers that are shipped have 256 MiB each.
func TestLongTokensFillNoMemory(t *testing.T) {
	const logins, workers, most = 6000, 100, 128 << 20
	c := cluster.Start(t, cluster.Options{Shape: cluster.Sealed(), Processes: true, Environment: []string{"GOMEMLIMIT=230MiB"}})
	address := strings.TrimPrefix(c.URLs()[0], "nats://")
	// One that is too long, and one that tokencheck looks into.
	tokens := []string{strings.Repeat("x", 17<<10), c.Token(t, "sensor-a") + strings.Repeat("x", 14<<10)}
	var all sync.WaitGroup
	for w := range workers {
		all.Go(func() {
			for range logins / workers {
				if err := refusedLogin(address, tokens[w%len(tokens)]); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	peak := map[string]float64{}
	look := func() {
		for _, service := range cluster.Services() {
			peak[service] = max(peak[service], c.Replicas(service)[0].Scrape(t).Sum("process_resident_memory_bytes"))
		}
	}
	ended := make(chan struct{})
	go func() {
		all.Wait()
		close(ended)
	}()
	for under := true; under; {
		select {
		case <-ended:
			under = false
		case <-time.After(200 * time.Millisecond):
		}
		look()
	}
	for service, resident := range peak {
		t.Logf("%s: %.0f MiB", service, resident/(1<<20))
		if resident <= 0 || resident > most {
			t.Errorf("%s had %.0f MiB in %d logins with long tokens", service, resident/(1<<20), logins)
		}
	}
	if denied := c.Replicas(wire.QueueCallout)[0].Scrape(t).Sum("authcallout_decisions_total", "outcome", "denied"); denied < logins/2 {
		t.Errorf("%.0f of %d logins were denied", denied, logins)
	}
}

// refusedLogin speaks to nats-server without a client library, until it closes the connection.
func refusedLogin(address, token string) error {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }() // it is over
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		return err
	}
	server := bufio.NewReader(conn)
	if _, err := server.ReadString('\n'); err != nil { // INFO
		return err
	}
	if _, err := fmt.Fprintf(conn, "CONNECT {\"verbose\":false,\"auth_token\":%q}\r\nPING\r\n", token); err != nil {
		return err
	}
	for {
		line, err := server.ReadString('\n')
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return fmt.Errorf("a login with %d bytes had no end: %w", len(token), err)
		case err != nil:
			return nil // closed, as it should be
		case strings.HasPrefix(line, "PONG"):
			return fmt.Errorf("a token of %d bytes that nobody signed was admitted", len(token))
		}
	}
}
