//go:build podman

package podmantest

import (
	"fmt"
	"net"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"harmony.internal/authcallout/deploy/podman/deployment"
)

// TestCluster brings up three servers and takes each of them away in turn: devices go on through the others, also those that
// log in meanwhile.
func TestCluster(t *testing.T) {
	r := newRig(t, "authcallout-cluster", deployment.Modes{Cluster: true})
	r.up(t)
	r.scenarios(t)
	urls := r.urls(t)
	token := r.token(t, "sensor-a")
	// It notices within seconds when a server goes without a word, as it may when its container's network goes with it.
	device, err := nats.Connect(urls, nats.Token(token), nats.MaxReconnects(-1), nats.PingInterval(time.Second))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(device.Close)
	if found := device.DiscoveredServers(); len(found) > 0 {
		t.Errorf("the servers tell devices of addresses that nobody outside can reach: %q", found)
	}
	for n := 1; n <= 3; n++ {
		name := fmt.Sprintf("%s-nats-%d", r.Project, n)
		podman(t, "stop", "-t", "10", name)
		eventually(t, "the device goes on without "+name, func() bool { return device.FlushTimeout(5*time.Second) == nil })
		eventually(t, "a login works without "+name, func() bool {
			nc, err := nats.Connect(urls, nats.Token(token), nats.NoReconnect())
			if err == nil {
				nc.Close()
			}
			return err == nil
		})
		podman(t, "start", name)
		eventually(t, name+" serves again", func() bool {
			nc, err := nats.Connect("nats://"+r.address(t, n-1), nats.Token(token), nats.NoReconnect())
			if err == nil {
				nc.Close()
			}
			return err == nil
		})
	}
}

// address is where the nth server listens, from 0.
func (r *rig) address(t *testing.T, n int) string {
	t.Helper()
	host, port, err := net.SplitHostPort(r.listen)
	if err != nil {
		t.Fatal(err)
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	return net.JoinHostPort(host, strconv.Itoa(number+n))
}

func (r *rig) urls(t *testing.T) string {
	t.Helper()
	return fmt.Sprintf("nats://%s,nats://%s,nats://%s", r.address(t, 0), r.address(t, 1), r.address(t, 2))
}
