package cluster

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"

	"harmony.internal/authcallout/deploy/topology"
)

// referenceServiceUser is the services' user in the reference topology, and its password.
const referenceServiceUser = "auth"

// Server is one nats-server, in the test's process or as a process.
type Server struct {
	*server.Server // nil for a process
	process        *serverProcess
	file           string
	url            string
}

// Elsewhere is how a server is run that is not in the test's process, for example in a container.
type Elsewhere struct {
	// URL is where clients find it.
	URL string
	// Listen and Store are its address and its directory as it sees them.
	Listen, Store string
	// Start starts it with a configuration file and returns when it accepts connections.
	Start func(t testing.TB, configuration string)
}

// URL is the server's address; it stays when the server is started again.
func (s *Server) URL() string { return s.url }

// Stop ends the server as a crash does: clients see a closed connection.
func (s *Server) Stop() {
	if s.process != nil {
		s.process.stop()
		return
	}
	s.Shutdown()
	s.WaitForShutdown()
}

// Start starts a server that was stopped, on the same address.
func (s *Server) Start(t testing.TB) {
	t.Helper()
	if s.process != nil {
		s.process.start(t, s.file)
		return
	}
	opts, err := server.ProcessConfigFile(s.file)
	if err != nil {
		t.Fatal(err)
	}
	opts.NoSigs, opts.NoLog = true, true
	if s.Server, err = server.NewServer(opts); err != nil {
		t.Fatal(err)
	}
	s.Server.Start()
	if !s.ReadyForConnections(Patience) {
		t.Fatal("nats-server does not accept connections")
	}
}

// Change replaces every key of changes by its value in the server's file. It takes effect at the next start.
func (s *Server) Change(t testing.TB, changes map[string]string) {
	t.Helper()
	text, err := os.ReadFile(s.file)
	if err != nil {
		t.Fatal(err)
	}
	changed := string(text)
	for from, to := range changes {
		if !strings.Contains(changed, from) {
			t.Fatalf("%s does not hold %s", s.file, from)
		}
		changed = strings.ReplaceAll(changed, from, to)
	}
	if err := os.WriteFile(s.file, []byte(changed), 0o600); err != nil { //nolint:gosec // the harness's own file
		t.Fatal(err)
	}
}

// alone says that the server runs and knows fewer than others other servers.
func (s *Server) alone(others int) bool {
	if s.process == nil {
		return s.NumRoutes() < others
	}
	v, err := s.process.variables()
	return err != nil || v.Remotes < others
}

// running says that the server was started and not stopped.
func (s *Server) running() bool {
	if s.process != nil {
		return s.process.life != nil
	}
	return s.Running()
}

// follows says that the server leads JetStream's cluster, or that it follows its leader.
func (s *Server) follows() bool {
	if s.process == nil {
		return s.JetStreamIsLeader() || s.JetStreamIsCurrent()
	}
	v, err := s.process.variables()
	return err == nil && v.Leader != ""
}

// startServers starts all of them and stops them when the test ends.
func (c *Cluster) startServers(t testing.TB, id topology.Identities) {
	t.Helper()
	if o := c.options.Elsewhere; o != nil {
		o.Start(t, c.referenceConfig(id, "elsewhere", o.Listen, o.Store, ""))
		c.Servers = []*Server{{url: o.URL}}
		return
	}
	var routes []string
	for range c.Shape.Servers {
		routes = append(routes, FreeAddress(t))
	}
	for i := range c.Shape.Servers {
		name := fmt.Sprintf("n%d", i+1)
		listen := FreeAddress(t)
		dir := filepath.Join(c.dir, name)
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		cluster := ""
		if c.Shape.Servers > 1 {
			cluster = "cluster.conf"
			text := topology.ClusterConfig(topology.Cluster{Name: "e2e", Listen: routes[i], Routes: routes, Password: "route"})
			c.write(t, filepath.Join(name, cluster), string(text))
		}
		text := c.referenceConfig(id, name, listen, filepath.Join(dir, "store"), cluster)
		if c.Shape.Hardened {
			var err error
			if text, err = topology.ServerConfig(id, topology.ServerOptions{
				Name: name, Listen: listen, StoreDir: filepath.Join(dir, "store"), ClusterFile: cluster,
			}); err != nil {
				t.Fatal(err)
			}
		}
		s := &Server{url: "nats://" + listen}
		text += "\n" + c.options.Server
		if c.options.ServerProcesses {
			s.process = &serverProcess{monitor: FreeAddress(t), address: listen, log: &Log{}}
			text += fmt.Sprintf("\nhttp: %q\n", s.process.monitor)
		}
		s.file = c.write(t, filepath.Join(name, "nats-server.conf"), text)
		c.Servers = append(c.Servers, s)
	}
	for _, s := range c.Servers {
		s.Start(t)
		t.Cleanup(s.Stop)
	}
	c.WaitRoutes(t)
}

// WaitRoutes returns when every server that runs knows every other, and JetStream in a cluster has chosen its leader: without
// one it answers nothing.
func (c *Cluster) WaitRoutes(t testing.TB) {
	t.Helper()
	Eventually(t, "every server has a route to every other", func() bool {
		running := 0
		for _, s := range c.Servers {
			if s.running() {
				running++
			}
		}
		for _, s := range c.Servers {
			if s.running() && running > 1 && s.alone(running-1) {
				return false
			}
		}
		return true
	})
	if len(c.Servers) < 2 {
		return
	}
	Eventually(t, "JetStream has a leader whom all follow", func() bool {
		for _, s := range c.Servers {
			if s.running() && !s.follows() {
				return false
			}
		}
		return true
	})
}

// referenceConfig is the reference topology, word for word.
func (c *Cluster) referenceConfig(id topology.Identities, name, listen, store, cluster string) string {
	text := fmt.Sprintf(`server_name: %q
listen: %q
max_control_line: %d
jetstream { store_dir: %q }
accounts { DEVICES: { jetstream: enabled, users: [ {user: auth, password: auth}, {user: platform, password: platform} ] } }
authorization { auth_callout { issuer: %s, auth_users: [auth, platform], account: DEVICES } }
`, name, listen, topology.MaxControlLine, store, id.Issuer)
	if cluster != "" {
		text += fmt.Sprintf("include %q\n", cluster)
	}
	return text
}

// FreeAddress returns a loopback address that nothing listened on a moment ago.
func FreeAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }() // nothing was accepted
	return l.Addr().String()
}

func list(values []string) string {
	quoted := make([]string, len(values))
	for i, v := range values {
		quoted[i] = fmt.Sprintf("%q", v)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}
