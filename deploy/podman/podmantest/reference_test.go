//go:build podman

package podmantest

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"harmony.internal/authcallout/deploy/podman/deployment"
	"harmony.internal/authcallout/e2e/cluster"
	"harmony.internal/authcallout/e2e/scenario"
)

// TestReferenceInContainers runs the reference flow against nats-server in two containers, with the services as processes beside
// them. A container of that name that an earlier run left behind is removed.
func TestReferenceInContainers(t *testing.T) {
	engine, err := deployment.NewEngine("podman")
	if err != nil {
		t.Fatal(err)
	}
	root, err := deployment.Root()
	if err != nil {
		t.Fatal(err)
	}
	if err := engine.BuildImages(t.Context(), root, testVersion); err != nil {
		t.Fatal(err)
	}
	for _, port := range []int{14222, 14223} {
		name := fmt.Sprintf("nats-callout-test-%d", port)
		t.Run(name, func(t *testing.T) {
			leaveStale(t, name)
			c := cluster.Start(t, cluster.Options{Shape: cluster.Reference(), Processes: true, Elsewhere: inContainer(name, port)})
			site := scenario.Site{URLs: c.URLs(), Platform: c.Platform(t), Token: c.Token}
			for _, s := range scenario.Scenarios() {
				t.Run(s.Name, func(t *testing.T) { s.Run(t, site) })
			}
		})
	}
}

// leaveStale makes what a run that was killed leaves behind: a container of the name, which never started.
func leaveStale(t *testing.T, name string) {
	t.Helper()
	podman(t, "rm", "-f", "-v", "-t", "0", "-i", name)
	podman(t, "create", "--name", name, deployment.ImageName("nats-server", testVersion))
}

// inContainer runs nats-server in a container with its client port published on this host.
func inContainer(name string, port int) *cluster.Elsewhere {
	address := fmt.Sprintf("127.0.0.1:%d", port)
	return &cluster.Elsewhere{
		URL: "nats://" + address, Listen: "0.0.0.0:4222", Store: "/data",
		Start: func(t testing.TB, configuration string) {
			dir := t.TempDir()
			// The container's user reads both.
			if err := os.Chmod(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, "nats-server.conf"), []byte(configuration), 0o644); err != nil {
				t.Fatal(err)
			}
			remove := func() {
				if out, err := exec.Command("podman", "rm", "-f", "-v", "-t", "0", "-i", name).CombinedOutput(); err != nil {
					t.Errorf("podman rm %s: %v: %s", name, err, out)
				}
			}
			remove()
			t.Cleanup(func() {
				if t.Failed() {
					out, _ := exec.Command("podman", "logs", "--tail", "30", name).CombinedOutput()
					t.Logf("%s:\n%s", name, out)
				}
				remove()
			})
			args := []string{
				"run", "-d", "--name", name, "-p", address + ":4222", "-v", dir + ":/etc/authcallout:ro,z",
				deployment.ImageName("nats-server", testVersion),
			}
			if out, err := exec.Command("podman", args...).CombinedOutput(); err != nil {
				t.Fatalf("podman %s: %v: %s", strings.Join(args, " "), err, out)
			}
			cluster.Eventually(t, name+" accepts connections", func() bool { return greets(address) })
		},
	}
}

// greets reports whether a nats-server says its INFO at address; the port is published before anybody listens behind it.
func greets(address string) bool {
	conn, err := net.DialTimeout("tcp", address, time.Second)
	if err != nil {
		return false
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetReadDeadline(time.Now().Add(time.Second))
	hello := make([]byte, 5)
	n, err := conn.Read(hello)
	return err == nil && string(hello[:n]) == "INFO "
}
