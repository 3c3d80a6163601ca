package topology_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"harmony.internal/authcallout/deploy/topology"
)

func TestEnsure(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	files := topology.FlatFiles(dir)
	first, created, err := topology.Ensure(files)
	if err != nil {
		t.Fatal(err)
	}
	if len(created) != 8 {
		t.Errorf("made %v, want all eight", created)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", e.Name(), info.Mode().Perm())
		}
	}
	again, created, err := topology.Ensure(files)
	if err != nil || len(created) != 0 {
		t.Fatalf("the second run made %v, %v", created, err)
	}
	if again.Issuer != first.Issuer || again.XKey != first.XKey || again.PlatformHash != first.PlatformHash || !slices.Equal(again.Callout, first.Callout) {
		t.Error("the second run sees other keys")
	}
	if err := os.Remove(files.Policy); err != nil {
		t.Fatal(err)
	}
	if _, created, err = topology.Ensure(files); err != nil || !slices.Equal(created, []string{files.Policy}) {
		t.Errorf("after one was lost: made %v, %v", created, err)
	}
}

func TestEnsureRefuses(t *testing.T) {
	files := topology.FlatFiles(t.TempDir())
	if _, _, err := topology.Ensure(files); err != nil {
		t.Fatal(err)
	}
	user, err := os.ReadFile(files.Callout)
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{"garbage": []byte("garbage"), "a seed of another kind": user} {
		t.Run(name, func(t *testing.T) {
			if err := os.WriteFile(files.Issuer, content, 0o600); err != nil {
				t.Fatal(err)
			}
			_, _, err := topology.Ensure(files)
			if err == nil || !strings.Contains(err.Error(), files.Issuer) {
				t.Fatalf("%v, want an error that names the file", err)
			}
			if strings.Contains(err.Error(), string(content)) && name != "garbage" {
				t.Error("the error holds the seed")
			}
		})
	}
}

// deployment is one server on the rendered configuration.
type deployment struct {
	files topology.Files
	srv   *server.Server
}

func run(t *testing.T) deployment {
	t.Helper()
	files, opts := render(t, nil)
	srv := start(t, opts)
	if !srv.ReadyForConnections(30 * time.Second) {
		t.Fatal("the server is not ready after 30 s")
	}
	return deployment{files, srv}
}

// render makes keys and configuration, and has the server read them.
func render(t *testing.T, change func(o *topology.ServerOptions, dir string)) (topology.Files, *server.Options) {
	t.Helper()
	dir := t.TempDir()
	files := topology.FlatFiles(filepath.Join(dir, "keys"))
	id, _, err := topology.Ensure(files)
	if err != nil {
		t.Fatal(err)
	}
	options := topology.ServerOptions{Name: "n1", Listen: "127.0.0.1:-1", StoreDir: filepath.Join(dir, "js"), MaxMemory: "16MB", MaxFile: "64MB"}
	if change != nil {
		change(&options, dir)
	}
	text, err := topology.ServerConfig(id, options)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{files.Issuer, files.XKey, files.Callout, files.Platform} {
		raw, err := os.ReadFile(secret)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(text, strings.TrimSpace(string(raw))) {
			t.Errorf("the configuration holds the secret of %s", secret)
		}
	}
	path := filepath.Join(dir, "nats-server.conf")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	opts, err := server.ProcessConfigFile(path)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	opts.NoSigs, opts.NoLog = true, true
	return files, opts
}

func start(t *testing.T, opts *server.Options) *server.Server {
	t.Helper()
	srv, err := server.NewServer(opts)
	if err != nil {
		t.Fatal(err)
	}
	srv.Start()
	t.Cleanup(func() { srv.Shutdown(); srv.WaitForShutdown() })
	return srv
}

func (d deployment) connect(t *testing.T, seed string, options ...nats.Option) *nats.Conn {
	t.Helper()
	auth, err := nats.NkeyOptionFromSeed(seed)
	if err != nil {
		t.Fatal(err)
	}
	quiet := nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {})
	nc, err := nats.Connect(d.srv.ClientURL(), append(options, auth, quiet)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// refused does one thing on a connection of its own and says whether the server refused it.
func (d deployment) refused(t *testing.T, seed string, act func(*nats.Conn) error) bool {
	t.Helper()
	nc := d.connect(t, seed)
	defer nc.Close()
	if err := act(nc); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil { // the server reports a violation before it answers the PING
		t.Fatal(err)
	}
	err := nc.LastError()
	if err != nil && !errors.Is(err, nats.ErrPermissionViolation) {
		t.Fatal(err)
	}
	return err != nil
}

func TestServicesHaveTheirSubjectsAndNoOthers(t *testing.T) {
	d := run(t)
	subjects := []string{
		"auth.v1.token.check", "auth.v1.token.explain", "auth.v1.policy.decide", "auth.v1.policy.explain", "auth.kick.X", "$SYS.REQ.USER.AUTH", "$SYS.REQ.SERVER.X.KICK",
		"$SYS.REQ.SERVER.PING", "_AUTH_INBOX.callout.1", "_AUTH_INBOX.tokencheck.1", "$SRV.PING", "_INBOX.1", "device-state.a",
	}
	cases := []struct {
		name, seed                string
		publish, subscribe, queue []string
	}{
		{"callout", d.files.Callout, []string{"auth.v1.token.check", "auth.v1.policy.decide", "auth.kick.X"},
			[]string{"_AUTH_INBOX.callout.1", "$SRV.PING"}, []string{"$SYS.REQ.USER.AUTH"}},
		{"tokencheck", d.files.Tokencheck, []string{"auth.v1.policy.decide"}, []string{"$SRV.PING"}, []string{"auth.v1.token.check", "auth.v1.token.explain"}},
		{"policy", d.files.Policy, nil, []string{"$SRV.PING"}, []string{"auth.v1.policy.decide", "auth.v1.policy.explain"}},
		{"operator", d.files.Operator, []string{"$SRV.PING", "auth.v1.token.explain", "auth.v1.policy.explain"}, []string{"_INBOX.1"}, nil},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			for _, subject := range subjects {
				publish := func(nc *nats.Conn) error { return nc.Publish(subject, nil) }
				if got, want := d.refused(t, c.seed, publish), !slices.Contains(c.publish, subject); got != want {
					t.Errorf("publish %s: refused %v, want %v", subject, got, want)
				}
				subscribe := func(nc *nats.Conn) error { _, err := nc.SubscribeSync(subject); return err }
				if got, want := d.refused(t, c.seed, subscribe), !slices.Contains(c.subscribe, subject); got != want {
					t.Errorf("subscribe %s: refused %v, want %v", subject, got, want)
				}
				join := func(nc *nats.Conn) error { _, err := nc.QueueSubscribeSync(subject, c.name); return err }
				if got, want := d.refused(t, c.seed, join), !slices.Contains(append(c.subscribe, c.queue...), subject); got != want {
					t.Errorf("queue subscribe %s: refused %v, want %v", subject, got, want)
				}
			}
		})
	}
}

func TestServicesMayAnswer(t *testing.T) {
	d := run(t)
	callout := d.connect(t, d.files.Callout, nats.CustomInboxPrefix("_AUTH_INBOX.callout"))
	tokencheck := d.connect(t, d.files.Tokencheck)
	if _, err := tokencheck.QueueSubscribe("auth.v1.token.check", "tokencheck", func(m *nats.Msg) { _ = m.Respond([]byte("answer")) }); err != nil {
		t.Fatal(err)
	}
	if err := tokencheck.Flush(); err != nil {
		t.Fatal(err)
	}
	reply, err := callout.Request("auth.v1.token.check", nil, 30*time.Second)
	if err != nil || string(reply.Data) != "answer" {
		t.Fatalf("%v", err)
	}
}

// With no callout anywhere, those who must get in do, and a stranger gets no answer.
func TestWithoutACallout(t *testing.T) {
	d := run(t)
	password, err := os.ReadFile(d.files.Platform)
	if err != nil {
		t.Fatal(err)
	}
	platform, err := nats.Connect(d.srv.ClientURL(), nats.UserInfo(topology.PlatformUser, string(password)))
	if err != nil {
		t.Fatalf("platform: %v", err)
	}
	defer platform.Close()
	admin := d.connect(t, d.files.Admin)
	if _, err := admin.Request("$SYS.REQ.SERVER.PING", nil, 30*time.Second); err != nil {
		t.Errorf("the administrator asks the server: %v", err)
	}
	for name, option := range map[string]nats.Option{
		"token":          nats.Token("x"),
		"wrong password": nats.UserInfo(topology.PlatformUser, "x"),
		"nothing":        nats.Name("nobody"),
	} {
		if nc, err := nats.Connect(d.srv.ClientURL(), option, nats.Timeout(30*time.Second)); err == nil {
			nc.Close()
			t.Errorf("%s got in", name)
		}
	}
}

// The callout can close a connection through its import, and reach nothing else of the system account by it.
func TestKick(t *testing.T) {
	d := run(t)
	closed := make(chan struct{})
	victim := d.connect(t, d.files.Operator, nats.NoReconnect(), nats.ClosedHandler(func(*nats.Conn) { close(closed) }))
	cid, err := victim.GetClientID()
	if err != nil {
		t.Fatal(err)
	}
	callout := d.connect(t, d.files.Callout, nats.CustomInboxPrefix("_AUTH_INBOX.callout"))
	if _, err := callout.Request("auth.kick."+d.srv.ID(), fmt.Appendf(nil, `{"cid":%d}`, cid), 30*time.Second); err != nil {
		t.Fatal(err)
	}
	select {
	case <-closed:
	case <-time.After(30 * time.Second):
		t.Fatal("the connection is still there")
	}
}

func TestCluster(t *testing.T) {
	// The servers must know each other's addresses before either runs.
	var routes []string
	for range 2 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		routes = append(routes, l.Addr().String())
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	var servers []*server.Server
	for i, address := range routes {
		_, opts := render(t, func(o *topology.ServerOptions, dir string) {
			o.Name, o.ClusterFile = fmt.Sprintf("n%d", i+1), "cluster.conf"
			cluster := topology.ClusterConfig(topology.Cluster{Name: "c", Listen: address, Routes: routes, Password: "secret"})
			if err := topology.WriteSecret(filepath.Join(dir, o.ClusterFile), cluster); err != nil {
				t.Fatal(err)
			}
		})
		servers = append(servers, start(t, opts))
	}
	for deadline := time.Now().Add(30 * time.Second); servers[0].NumRoutes() == 0 || servers[1].NumRoutes() == 0; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("no route after 30 s")
		}
	}
}

func TestServerConfigWantsWhatItNeeds(t *testing.T) {
	if _, err := topology.ServerConfig(topology.Identities{}, topology.ServerOptions{Name: "n", Listen: ":4222"}); err == nil {
		t.Error("rendered without a store directory")
	}
}
