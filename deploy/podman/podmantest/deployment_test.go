//go:build podman

// Package podmantest runs the deployment with a real podman. It is behind a build tag because it needs one; `make test-podman`
// runs it, and fails with the command that installs it when it is missing.
package podmantest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"harmony.internal/authcallout/deploy/podman/deployment"
	"harmony.internal/authcallout/deploy/topology"
	"harmony.internal/authcallout/e2e/scenario"
)

// patience is long for the engine's DNS server: older ones (aardvark-dns in Debian 12) work on one question after the other, and
// one about a container that is stopped goes to the host's server, whose answer may take its full time.
const patience = 2 * time.Minute

// Versions of the images that the tests make: the first, and the one that is upgraded to.
const (
	testVersion = "0.9.0"
	nextVersion = "0.9.1"
)

// rig is one deployment with the development provider, under a name and on a port of its own.
type rig struct {
	*deployment.Deployment
	config *deployment.Config
	modes  deployment.Modes
	listen string
	secure []nats.Option // for a connection, where the servers have TLS
	log    *lockedBuffer
}

// configure writes deployment.yaml with extra and reads it again.
func (r *rig) configure(t *testing.T, extra string) {
	t.Helper()
	text := fmt.Sprintf("issuer: https://unused.invalid\nproject: unused\nlisten: %s\n%s", r.listen, extra)
	if err := os.WriteFile(r.File, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var err error
	if r.config, _, err = deployment.LoadConfig(r.File, true); err != nil {
		t.Fatal(err)
	}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func newRig(t *testing.T, project string, m deployment.Modes) *rig {
	t.Helper()
	engine, err := deployment.NewEngine("podman")
	if err != nil {
		t.Fatal(err)
	}
	root, err := deployment.Root()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "deployment.yaml")
	log := &lockedBuffer{}
	m.Development = true
	r := &rig{modes: m, listen: freeAddress(t), log: log, Deployment: &deployment.Deployment{
		Engine: engine, Root: root, State: deployment.State(filepath.Join(dir, "state")), File: file,
		Project: project, Version: testVersion, Out: log,
	}}
	r.configure(t, "")
	clean := func() {
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
		defer cancel()
		if err := r.Down(ctx, true); err != nil {
			t.Errorf("down: %v", err)
		}
	}
	clean() // what an earlier run that was killed left behind
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the deployment said:\n%s", log)
			for _, c := range []string{"callout-1", "callout-2", "tokencheck-1", "policy-1", "nats-1", "nats-2", "nats-3"} {
				out, _ := exec.Command("podman", "logs", "--tail", "30", project+"-"+c).CombinedOutput()
				t.Logf("%s:\n%s", c, out)
			}
		}
		clean()
	})
	return r
}

// freeAddress is free for as many servers as there can be.
func freeAddress(t *testing.T) string {
	t.Helper()
	for port := 24222; port < 25222; port += 3 {
		free := true
		for i := range 3 {
			l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port+i))
			if err != nil {
				free = false
				break
			}
			_ = l.Close()
		}
		if free {
			return fmt.Sprintf("127.0.0.1:%d", port)
		}
	}
	t.Fatal("no free port")
	return ""
}

func (r *rig) up(t *testing.T) {
	t.Helper()
	if err := r.Up(t.Context(), r.config, r.modes); err != nil {
		t.Fatal(err)
	}
}

func (r *rig) token(t *testing.T, user string) string {
	t.Helper()
	var out []byte
	eventually(t, "a token of "+user, func() bool { // which needs the provider's name to be known
		var err error
		out, err = exec.CommandContext(t.Context(), "podman", "exec", r.Project+"-devidp", "/devidp", "token", "-data", "/data", "-user", user).Output()
		return err == nil
	})
	return strings.TrimSpace(string(out))
}

func (r *rig) device(t *testing.T, token string, options ...nats.Option) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect("nats://"+r.listen, append([]nats.Option{nats.Token(token), nats.MaxReconnects(-1),
		nats.ReconnectWait(100 * time.Millisecond), nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {})}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

func (r *rig) platform(t *testing.T) *nats.Conn {
	t.Helper()
	password, err := os.ReadFile(r.State.Files().Platform)
	if err != nil {
		t.Fatal(err)
	}
	nc, err := nats.Connect("nats://"+r.listen, nats.UserInfo(topology.PlatformUser, string(password)), nats.MaxReconnects(-1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// scenarios are the two of the reference flow.
func (r *rig) scenarios(t *testing.T) {
	t.Helper()
	password, err := os.ReadFile(r.State.Files().Platform)
	if err != nil {
		t.Fatal(err)
	}
	site := scenario.Site{
		URLs: []string{"nats://" + r.listen}, Platform: nats.UserInfo(topology.PlatformUser, string(password)),
		Token: func(_ testing.TB, device string) string { return r.token(t, device) },
	}
	for _, s := range scenario.Scenarios() {
		t.Run(s.Name, func(t *testing.T) { s.Run(t, site) })
	}
}

// load logs in over and over until stopped, with clients that have nothing but their own first attempt.
type load struct {
	stop   chan struct{}
	done   sync.WaitGroup
	logins atomic.Int64
	mu     sync.Mutex
	failed []error
}

// startLoad begins logging in, a few at a time, each login a connection that is not tried again: one that fails is a
// failed login. Only a refused connection does not count, when the server itself is replaced.
func (r *rig) startLoad(t *testing.T) *load {
	t.Helper()
	token := r.token(t, "sensor-a")
	l := &load{stop: make(chan struct{})}
	for range 4 {
		l.done.Go(func() {
			for {
				select {
				case <-l.stop:
					return
				case <-time.After(25 * time.Millisecond):
				}
				nc, err := nats.Connect("nats://"+r.listen, nats.Token(token), nats.NoReconnect())
				if err != nil {
					l.mu.Lock()
					l.failed = append(l.failed, err)
					l.mu.Unlock()
					continue
				}
				nc.Close()
				l.logins.Add(1)
			}
		})
	}
	return l
}

func (l *load) finish(t *testing.T, during string) {
	t.Helper()
	before := l.logins.Load()
	for deadline := time.Now().Add(patience); l.logins.Load() < before+20 && time.Now().Before(deadline); {
		time.Sleep(20 * time.Millisecond)
	}
	after := l.logins.Load() - before
	close(l.stop)
	l.done.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	t.Logf("%s: %d logins, %d failed", during, l.logins.Load(), len(l.failed))
	if len(l.failed) > 0 {
		t.Errorf("%s: %d of %d logins failed, the first with: %v", during, len(l.failed), l.logins.Load()+int64(len(l.failed)), l.failed[0])
	}
	if after < 20 {
		t.Errorf("%s: only %d logins in the %v after it", during, after, patience)
	}
}

func podman(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "podman", args...).Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			t.Fatalf("podman %s: %v: %s", strings.Join(args, " "), err, exit.Stderr)
		}
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

func eventually(t *testing.T, what string, reached func() bool) {
	t.Helper()
	began := time.Now()
	for !reached() {
		if time.Since(began) > patience {
			t.Fatalf("not within %v: %s", patience, what)
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Logf("%s: after %v", what, time.Since(began).Round(time.Millisecond))
}

// TestDeployment is the life of one deployment, in order: each step begins with what the one before left.
func TestDeployment(t *testing.T) {
	r := newRig(t, "authcallout-test", deployment.Modes{})
	r.up(t)
	steps := []struct {
		name string
		do   func(*testing.T)
	}{
		{"the scenarios", r.scenarios},
		{"again does nothing", r.upAgain},
		{"containers are confined", r.confined},
		{"bypass check", r.bypass},
		{"nats CLI", r.natsCLI},
		{"kill one of each", r.killOneOfEach},
		{"restart while the provider is down", r.restartWithoutProvider},
		{"rolling upgrade", r.rollingUpgrade},
		{"a broken half of it", r.mends},
		{"break-glass with every callout down", r.breakGlass},
		{"rotate keys", r.rotate},
		{"restart of everything", r.restartOfEverything},
		{"down leaves nothing", r.downLeavesNothing},
	}
	for _, step := range steps {
		if !t.Run(step.name, step.do) {
			return
		}
	}
}

func (r *rig) upAgain(t *testing.T) {
	before := podman(t, "ps", "-q", "--filter", "name=^"+r.Project+"-")
	mark := len(r.log.String())
	r.up(t)
	if after := podman(t, "ps", "-q", "--filter", "name=^"+r.Project+"-"); after != before {
		t.Errorf("containers before:\n%s\nafter:\n%s", before, after)
	}
	if said := r.log.String()[mark:]; strings.Contains(said, "made ") || strings.Contains(said, "replaced") {
		t.Errorf("the second time said:\n%s", said)
	}
}

func (r *rig) confined(t *testing.T) {
	for _, service := range []string{"nats-1", "callout-1", "tokencheck-2", "policy-1", "devidp"} {
		got := podman(t, "inspect", "--format", "{{.HostConfig.ReadonlyRootfs}} {{.Config.User}} {{len .EffectiveCaps}} {{.HostConfig.SecurityOpt}} {{gt .HostConfig.Memory 0}}", r.Project+"-"+service)
		if !strings.HasPrefix(got, "true 65532:65532 0 [no-new-privileges") && os.Geteuid() == 0 || !strings.HasSuffix(got, "true") {
			t.Errorf("%s: %s", service, got)
		}
	}
	for _, service := range []string{"callout-1", "policy-1"} {
		if networks := podman(t, "inspect", "--format", "{{range $n, $_ := .NetworkSettings.Networks}}{{$n}} {{end}}", r.Project+"-"+service); strings.TrimSpace(networks) != r.Project+"_bus" {
			t.Errorf("%s is in networks %s", service, networks)
		}
	}
	if internal := podman(t, "network", "inspect", "--format", "{{.Internal}}", r.Project+"_bus"); internal != "true" {
		t.Errorf("the bus has a way out: internal is %s", internal)
	}
}

func (r *rig) bypass(t *testing.T) {
	mark := len(r.log.String())
	if err := r.BypassCheck(t.Context(), r.config); err != nil {
		t.Fatalf("%v\n%s", err, r.log.String()[mark:])
	}
}

func (r *rig) killOneOfEach(t *testing.T) {
	l := r.startLoad(t)
	for _, service := range []string{"tokencheck-1", "policy-1"} {
		name := r.Project + "-" + service
		started := podman(t, "inspect", "--format", "{{.State.StartedAt}}", name)
		pid := podman(t, "inspect", "--format", "{{.State.Pid}}", name)
		if out, err := exec.Command("kill", "-9", pid).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		eventually(t, service+" runs again", func() bool {
			return podman(t, "inspect", "--format", "{{.State.Running}} {{.State.StartedAt}}", name) != "true "+started &&
				exec.Command("podman", "healthcheck", "run", name).Run() == nil
		})
	}
	l.finish(t, "tokencheck and policy killed")
	// What a killed callout had taken on is lost with it: the client's own next attempt gets in.
	device := r.device(t, r.token(t, "sensor-a"))
	if out, err := exec.Command("kill", "-9", podman(t, "inspect", "--format", "{{.State.Pid}}", r.Project+"-callout-1")).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if err := device.ForceReconnect(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the device is connected again", func() bool { return device.IsConnected() && device.Flush() == nil })
	eventually(t, "callout-1 is ready again", func() bool {
		return exec.Command("podman", "healthcheck", "run", r.Project+"-callout-1").Run() == nil
	})
}

// restartWithoutProvider leaves no replica of tokencheck that could have asked the provider: who gets in does so by the keys
// that each has kept.
func (r *rig) restartWithoutProvider(t *testing.T) {
	token := r.token(t, "sensor-a")
	podman(t, "stop", "-t", "5", r.Project+"-devidp")
	for _, service := range []string{"tokencheck-1", "tokencheck-2"} {
		kept := filepath.Join(string(r.State), "provider-keys", service)
		if info, err := os.Stat(kept); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("the directory of kept keys: %v, %v", info, err)
		}
		podman(t, "restart", "-t", "10", r.Project+"-"+service)
		eventually(t, service+" is ready", func() bool {
			return exec.Command("podman", "healthcheck", "run", r.Project+"-"+service).Run() == nil
		})
	}
	if err := r.tryLogin(token); err != nil {
		t.Errorf("a device after the restart: %v", err)
	}
	podman(t, "start", r.Project+"-devidp")
	eventually(t, "devidp is back", func() bool { return exec.Command("podman", "healthcheck", "run", r.Project+"-devidp").Run() == nil })
}

func (r *rig) rollingUpgrade(t *testing.T) {
	r.Version = nextVersion
	// Building needs the whole machine; what is measured is the replacing.
	if err := r.Engine.BuildImages(t.Context(), r.Root, r.Version); err != nil {
		t.Fatal(err)
	}
	l := r.startLoad(t)
	// The servers' image does not change with the version: their programs are the same, so that they are left alone.
	if err := r.Upgrade(t.Context(), r.config); err != nil {
		t.Fatal(err)
	}
	l.finish(t, "rolling upgrade")
	for _, service := range []string{"callout-1", "callout-2", "tokencheck-1", "policy-2"} {
		if image := podman(t, "inspect", "--format", "{{.ImageName}}", r.Project+"-"+service); !strings.HasSuffix(image, ":"+nextVersion) {
			t.Errorf("%s runs %s", service, image)
		}
	}
}

// mends stops, removes and pauses what it should not, and brings the deployment up again.
func (r *rig) mends(t *testing.T) {
	podman(t, "stop", "-t", "5", r.Project+"-callout-2")
	podman(t, "rm", "-f", r.Project+"-policy-1")
	if err := os.Remove(r.State.Files().Policy); err != nil {
		t.Fatal(err)
	}
	r.up(t)
	r.scenarios(t)
}

func (r *rig) breakGlass(t *testing.T) {
	podman(t, "stop", "-t", "5", r.Project+"-callout-1", r.Project+"-callout-2")
	r.bypass2(t)
	r.up(t)
}

// bypass2 is the bypass check without the operator's look at the callout, of which there is none.
func (r *rig) bypass2(t *testing.T) {
	for _, seed := range []string{r.State.Files().Admin} {
		option, err := nats.NkeyOptionFromSeed(seed)
		if err != nil {
			t.Fatal(err)
		}
		nc, err := nats.Connect("nats://"+r.listen, option)
		if err != nil {
			t.Fatalf("the administrator: %v", err)
		}
		if _, err := nc.Request("$SYS.REQ.SERVER.PING", nil, patience); err != nil {
			t.Errorf("the administrator: %v", err)
		}
		nc.Close()
	}
	if err := r.platform(t).Flush(); err != nil {
		t.Errorf("the platform: %v", err)
	}
	if nc, err := nats.Connect("nats://"+r.listen, nats.Token(r.token(t, "sensor-a")), nats.Timeout(10*time.Second)); err == nil {
		nc.Close()
		t.Error("a device got in without a callout")
	}
}

func (r *rig) rotate(t *testing.T) {
	files := r.State.Files()
	read := func() string {
		var all strings.Builder
		for _, path := range []string{files.Issuer, files.XKey, files.Callout, files.Tokencheck, files.Policy} {
			raw, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			all.Write(raw)
		}
		return all.String()
	}
	before := read()
	device := r.device(t, r.token(t, "sensor-a"))
	if err := r.RotateKeys(t.Context(), r.config); err != nil {
		t.Fatal(err)
	}
	if read() == before {
		t.Error("the keys are the same")
	}
	eventually(t, "the device is connected again", func() bool { return device.IsConnected() && device.Flush() == nil })
	r.scenarios(t)
}

func (r *rig) restartOfEverything(t *testing.T) {
	platform := r.platform(t)
	js, err := platform.JetStream()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.AddStream(&nats.StreamConfig{Name: "KEPT", Subjects: []string{"kept.>"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish("kept.1", []byte("still here")); err != nil {
		t.Fatal(err)
	}
	device := r.device(t, r.token(t, "sensor-a"))
	if err := r.Down(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	r.up(t)
	eventually(t, "the stream is there with its message", func() bool {
		info, err := js.StreamInfo("KEPT")
		return err == nil && info.State.Msgs == 1
	})
	eventually(t, "the device is connected again", func() bool { return device.IsConnected() && device.Flush() == nil })
	r.scenarios(t)
}

func (r *rig) downLeavesNothing(t *testing.T) {
	if err := r.Down(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	for kind, args := range map[string][]string{
		"containers": {"ps", "-aq", "--filter", "name=^" + r.Project + "-"},
		"networks":   {"network", "ls", "-q", "--filter", "name=" + r.Project + "_"},
		"volumes":    {"volume", "ls", "-q", "--filter", "name=" + r.Project + "_"},
	} {
		if left := podman(t, args...); left != "" {
			t.Errorf("%s are left: %s", kind, left)
		}
	}
	if _, err := os.Stat(string(r.State)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the keys are left: %v", err)
	}
}
