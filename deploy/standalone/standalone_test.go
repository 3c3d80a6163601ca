package standalone_test

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"harmony.internal/authcallout/deploy/standalone"
	"harmony.internal/authcallout/shared/oidctest"
	"harmony.internal/authcallout/shared/run"
)

var configurationFiles = []string{
	standalone.ServerFile, standalone.CalloutFile, standalone.TokencheckFile, standalone.PolicyFile, standalone.RulesFile,
}

// box is one data directory and the provider that its devices have.
type box struct {
	issuer *oidctest.Issuer
	dir    string
}

func newBox(t *testing.T) *box {
	return &box{issuer: oidctest.New(t), dir: filepath.Join(t.TempDir(), "data")}
}

// first are the arguments of a first start.
func (b *box) first(more ...string) []string {
	return append([]string{"-data", b.dir, "-issuer", b.issuer.URL, "-project", oidctest.Project, "-listen", "127.0.0.1:-1"}, more...)
}

func (b *box) path(name ...string) string { return filepath.Join(append([]string{b.dir}, name...)...) }

func (b *box) read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(b.path(name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// edit replaces text in a file, as an operator does.
func (b *box) edit(t *testing.T, name, old, replacement string) {
	t.Helper()
	text := b.read(t, name)
	if !strings.Contains(text, old) {
		t.Fatalf("%s has no %q:\n%s", name, old, text)
	}
	if err := os.WriteFile(b.path(name), []byte(strings.Replace(text, old, replacement, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (b *box) platform(t *testing.T, url string) *nats.Conn {
	t.Helper()
	password, err := os.ReadFile(b.path(standalone.KeysDir, "platform.password"))
	if err != nil {
		t.Fatal(err)
	}
	return connect(t, url, nats.UserInfo("platform", string(password)))
}

func (b *box) device(t *testing.T, url, name string) *nats.Conn {
	t.Helper()
	return connect(t, url, nats.Token(b.issuer.Token(t, name)), nats.Name(name))
}

// kept is the stream that the tests keep states in.
var kept = jetstream.StreamConfig{Name: "STATES", Subjects: []string{"device-state.*"}, Storage: jetstream.FileStorage}

// The life of a box: a first start, a device, JetStream, edits, and every start after it.
func TestLife(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	ctx, cancel := context.WithTimeout(t.Context(), 4*patience)
	defer cancel()
	device := oidctest.SubjectOf("sensor-a") // the device id is sub unless told otherwise

	p := start(t, b.first()...)
	url := p.ready(t)
	b.checkFirstStart(t, p.stdout.String())
	js, err := jetstream.New(b.platform(t, url))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(ctx, kept); err != nil {
		t.Fatal(err)
	}
	if err := b.device(t, url, "sensor-a").Publish("device-state."+device, []byte("21.5")); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the device's state is kept", func() bool { return states(ctx, js) == 1 })
	p.terminate(t)

	before := map[string]string{}
	b.edit(t, standalone.RulesFile, "device-state.{", "edited.{")
	b.edit(t, standalone.CalloutFile, "client_patience: 2s", "client_patience: 3s # ours is slow")
	b.edit(t, standalone.ServerFile, "max_control_line: 20480", "max_control_line: 20481")
	for _, name := range configurationFiles {
		before[name] = b.read(t, name)
	}
	p = start(t, "-data", b.dir)
	url = p.ready(t)
	if out := p.stdout.String(); out != "" {
		t.Errorf("the second start printed %q", out)
	}
	edited := b.device(t, url, "sensor-a")
	platform := b.platform(t, url)
	received, err := platform.SubscribeSync("edited.*")
	if err = errors.Join(err, platform.FlushTimeout(patience)); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(edited.Publish("device-state."+device, nil), edited.Publish("edited."+device, []byte("new rules"))); err != nil {
		t.Fatal(err)
	}
	if m, err := received.NextMsg(patience); err != nil || string(m.Data) != "new rules" {
		t.Errorf("under the edited rules: %v", err)
	}
	if js, err = jetstream.New(b.platform(t, url)); err != nil {
		t.Fatal(err)
	}
	if n := states(ctx, js); n != 1 {
		t.Errorf("%d states are kept, want the one of before", n)
	}

	// A power cut. What was acknowledged is there afterwards.
	p.signal(t, syscall.SIGKILL)
	p.end(t)
	p = start(t, b.first("-role", "other")...)
	url = p.ready(t)
	if out := p.stdout.String(); !strings.Contains(out, "configured already: -issuer -listen -project -role shape the first start alone") {
		t.Errorf("flags that have no effect any more: %q", out)
	}
	b.device(t, url, "sensor-a")
	if js, err = jetstream.New(b.platform(t, url)); err != nil {
		t.Fatal(err)
	}
	if n := states(ctx, js); n != 1 {
		t.Errorf("%d states are kept after SIGKILL, want 1", n)
	}
	for _, name := range configurationFiles {
		if b.read(t, name) != before[name] {
			t.Errorf("%s was changed by a start", name)
		}
	}
	p.signal(t, syscall.SIGINT)
	if code := p.end(t); code != run.ExitOK {
		t.Errorf("SIGINT ended it with %d", code)
	}
}

func states(ctx context.Context, js jetstream.JetStream) uint64 {
	stream, err := js.Stream(ctx, kept.Name)
	if err != nil {
		return 0
	}
	info, err := stream.Info(ctx)
	if err != nil {
		return 0
	}
	return info.State.Msgs
}

// checkFirstStart compares what was printed with what was written, and looks at who may read it.
func (b *box) checkFirstStart(t *testing.T, printed string) {
	t.Helper()
	for _, name := range configurationFiles {
		if !strings.Contains(printed, "---- "+name+"\n"+b.read(t, name)) {
			t.Errorf("%s is not printed as it was written:\n%s", name, printed)
		}
	}
	err := filepath.WalkDir(b.dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		inStore := strings.HasPrefix(path, b.path(standalone.StoreDir)) // JetStream's own business, below 0700
		switch {
		case entry.IsDir() && !inStore && info.Mode().Perm() != 0o700:
			t.Errorf("%s has mode %v", path, info.Mode())
		case !entry.IsDir() && !inStore && info.Mode().Perm() != 0o600:
			t.Errorf("%s has mode %v", path, info.Mode())
		case filepath.Dir(path) == b.path(standalone.KeysDir) && !strings.HasSuffix(path, ".bcrypt"):
			secret, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			if !strings.Contains(printed, "  "+path+"\n") || strings.Contains(printed, strings.TrimSpace(string(secret))) {
				t.Errorf("of %s the path is to be printed, and the secret is not", path)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// A part that is lost is written again as far as that can be, and asked back where not.
func TestLostParts(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	p := start(t, b.first()...)
	p.ready(t)
	p.terminate(t)

	rules := b.read(t, standalone.RulesFile)
	remove(t, b.path(standalone.RulesFile))
	p = start(t, "-data", b.dir)
	p.ready(t)
	p.terminate(t)
	if got := b.read(t, standalone.RulesFile); got != rules {
		t.Errorf("the rules that were written again: %s", got)
	}
	if out := p.stdout.String(); !strings.Contains(out, "---- "+standalone.RulesFile) || strings.Contains(out, "---- "+standalone.CalloutFile) {
		t.Errorf("it printed %q", out)
	}

	remove(t, b.path(standalone.TokencheckFile))
	refuse(t, "without the provider", run.ExitUsage, []string{"-data", b.dir}, "-issuer is required")
	p = start(t, b.first()...)
	p.ready(t)
	p.terminate(t)

	other := newBox(t)
	p = start(t, other.first()...)
	p.ready(t)
	p.terminate(t)
	for name, says := range map[string]string{
		"issuer.nk": "authorization.auth_callout.issuer", "callout.xk": "authorization.auth_callout.xkey", "policy.nk": "is no user in",
	} {
		key := b.path(standalone.KeysDir, name)
		mine, err := os.ReadFile(key)
		if err != nil {
			t.Fatal(err)
		}
		foreign, err := os.ReadFile(other.path(standalone.KeysDir, name))
		if err != nil {
			t.Fatal(err)
		}
		write(t, key, foreign)
		refuse(t, "another "+name, run.ExitUsage, []string{"-data", b.dir}, says)
		remove(t, key)
		refuse(t, "no "+name, run.ExitUsage, []string{"-data", b.dir}, key)
		write(t, key, mine)
	}
	p = start(t, "-data", b.dir)
	p.ready(t)
}

func TestWrongUse(t *testing.T) {
	t.Parallel()
	open := t.TempDir() // 0755
	b := newBox(t)
	p := start(t, b.first()...)
	p.ready(t)
	p.terminate(t)
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = busy.Close() })
	fresh := func(args ...string) []string {
		return append([]string{"-data", filepath.Join(t.TempDir(), "data")}, args...)
	}
	good := []string{"-issuer", b.issuer.URL, "-project", oidctest.Project}
	for name, c := range map[string]struct {
		args []string
		code int
		says []string
	}{
		"no provider at the first start": {fresh(), run.ExitUsage, []string{"-issuer is required", "-project is required"}},
		"an issuer that is no URL":       {fresh("-issuer", "zitadel.example.com", "-project", "1"), run.ExitUsage, []string{`-issuer "zitadel.example.com" is not a URL`}},
		"a project that is none":         {fresh("-issuer", b.issuer.URL, "-project", `1"]`), run.ExitUsage, []string{"is not a project's id"}},
		"a role that is none":            {fresh(append(good, "-role", "a'b")...), run.ExitUsage, []string{"-role"}},
		"a claim that is none":           {fresh(append(good, "-device-claim", "")...), run.ExitUsage, []string{"-device-claim"}},
		"an address without a port":      {fresh(append(good, "-listen", "127.0.0.1")...), run.ExitUsage, []string{"HOST:PORT"}},
		"an address that is taken":       {fresh(append(good, "-listen", busy.Addr().String())...), run.ExitFailure, []string{"address already in use", standalone.ServerFile}},
		"a flag that does not exist":     {fresh("-issuers", "x"), run.ExitUsage, []string{"-issuers", "usage: standalone"}},
		"an argument":                    {fresh("start"), run.ExitUsage, []string{`unexpected argument "start"`}},
		"a directory that others read":   {append([]string{"-data", open}, good...), run.ExitUsage, []string{"chmod 700", open}},
		"-check-config before any start": {fresh("-check-config"), run.ExitUsage, []string{"no configuration yet", "-issuer"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			refuse(t, name, c.code, c.args, c.says...)
		})
	}
}

func TestCheckConfig(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	p := start(t, b.first()...)
	p.ready(t)
	p.terminate(t)
	check := []string{"-data", b.dir, "-check-config"}
	p = start(t, check...)
	if code := p.end(t); code != run.ExitOK || p.stdout.String() != b.dir+": good\n" {
		t.Errorf("%d %q", code, p.stdout.String())
	}
	b.issuer.Fail(503)
	refuse(t, "a provider that is down", run.ExitFailure, check, b.issuer.URL, "503")
	b.edit(t, standalone.CalloutFile, "client_patience", "client_patence")
	b.edit(t, standalone.TokencheckFile, "profile: zitadel", "profile: auth0")
	refuse(t, "two broken files", run.ExitUsage, check, standalone.CalloutFile+":", "client_patence", "client_patience", standalone.TokencheckFile+":", "profile")
	b.edit(t, standalone.ServerFile, "listen:", "lisen:")
	refuse(t, "a third", run.ExitUsage, check, standalone.ServerFile, "lisen")
}

// A server that gives up before the clients, or long after them, is told of; it is no error.
func TestTimesThatDoNotFit(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	p := start(t, b.first()...)
	p.ready(t)
	p.terminate(t)
	timeout := "timeout: 2"
	for _, row := range []struct {
		name, timeout, patience string
		says                    string // "" for nothing
	}{
		{"as written", "timeout: 2", "client_patience: 2s", ""},
		{"the server's default", "", "client_patience: 2s", ""},
		{"both are patient", "timeout: 10", "client_patience: 10s", ""},
		{"the server gives up first", "timeout: 2", "client_patience: 5s", "raise authorization.timeout to 5s"},
		{"and by its default", "", "client_patience: 5s", "raise authorization.timeout to 5s"},
		{"the server waits for those who have gone", "timeout: 10", "client_patience: 2s", "lower authorization.timeout to 2s"},
		{"the callout gives up first", "timeout: 10", "client_patience: 10s\nmax_budget: 5s", "max_budget"},
	} {
		server, callout := b.read(t, standalone.ServerFile), b.read(t, standalone.CalloutFile)
		b.edit(t, standalone.ServerFile, timeout, row.timeout)
		b.edit(t, standalone.CalloutFile, "client_patience: 2s", row.patience)
		p = start(t, "-data", b.dir, "-check-config")
		code := p.end(t)
		out := p.stderr.String()
		warned := strings.Contains(out, "authorization.timeout") || strings.Contains(out, "max_budget")
		if code != run.ExitOK || warned != (row.says != "") || !strings.Contains(out, row.says) {
			t.Errorf("%s: %d, want %q in %q", row.name, code, row.says, out)
		}
		write(t, b.path(standalone.ServerFile), []byte(server))
		write(t, b.path(standalone.CalloutFile), []byte(callout))
	}
	b.edit(t, standalone.ServerFile, timeout, "timeout: 10")
	p = start(t, "-data", b.dir)
	p.ready(t)
	if log := p.stderr.String(); !strings.Contains(log, "lower authorization.timeout to 2s") {
		t.Error("the log of a start does not say it")
	}
}

// Two processes would write one JetStream store. A process that was killed leaves the directory free.
func TestOneProcessPerDirectory(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	first := start(t, b.first()...)
	first.ready(t)
	refuse(t, "a second process", run.ExitFailure, []string{"-data", b.dir},
		b.dir, "process "+strconv.Itoa(first.cmd.Process.Pid), "stop that one", "-data")
	check := start(t, "-data", b.dir, "-check-config")
	if code := check.end(t); code != run.ExitOK {
		t.Errorf("-check-config beside a running process: %d", code)
	}
	first.signal(t, syscall.SIGKILL)
	first.end(t)
	next := start(t, "-data", b.dir)
	next.ready(t)
	next.terminate(t)
}

// Two first starts at once would mix their keys: the one that comes second writes nothing.
func TestFirstStartsAreOneAfterTheOther(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	if err := os.Mkdir(b.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	lock, err := os.Create(b.path(standalone.LockFile))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = lock.Close() }()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	refuse(t, "a second first start", run.ExitFailure, b.first(), b.dir, "another standalone")
	entries, err := os.ReadDir(b.dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("in the directory are %v (%v), want the lock file alone", entries, err)
	}
}

func TestVersion(t *testing.T) {
	t.Parallel()
	p := start(t, "-version")
	if code := p.end(t); code != run.ExitOK || p.stdout.String() != "standalone "+run.Version+"\n" {
		t.Errorf("%d %q", code, p.stdout.String())
	}
	p = start(t, "-help")
	if code := p.end(t); code != run.ExitOK || !strings.Contains(p.stderr.String(), "-device-claim") {
		t.Errorf("%d %q", code, p.stderr.String())
	}
}

// SIGHUP takes over an edited server configuration, and keeps the one in force when the edit is broken. nats-server closes
// the connections of users that are not in its file, which is all devices (reload.go, clientHasMovedToDifferentAccount).
func TestReload(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	// nats-server compares its accounts with the new ones while connections change them (reload.go, diffOptions), which the
	// race detector ends a process for.
	p := startWith(t, []string{"GORACE=exitcode=0"}, b.first()...)
	url := p.ready(t)
	connected := connect(t, url, nats.Token(b.issuer.Token(t, "sensor-a")), nats.ReconnectWait(10*time.Millisecond))
	whole := b.read(t, standalone.ServerFile)
	write(t, b.path(standalone.ServerFile), []byte("accounts {"))
	p.signal(t, syscall.SIGHUP)
	p.logged(t, "nats-server.conf is not taken over; the one before it stays in force")
	write(t, b.path(standalone.ServerFile), []byte(whole))
	b.edit(t, standalone.ServerFile, "max_control_line:", "max_payload: 123456\nmax_control_line:")
	p.signal(t, syscall.SIGHUP)
	p.logged(t, "nats-server.conf is read again")
	if got := b.platform(t, url).MaxPayload(); got != 123456 {
		t.Errorf("a new connection is told max_payload %d", got)
	}
	waitFor(t, "the device, whose connection nats-server closes at a reload, is back", connected.IsConnected)
	p.terminate(t)
}

// A provider that is down at the first start is waited for.
func TestProviderDownAtStart(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	b.issuer.Fail(503)
	p := start(t, b.first()...)
	url := p.ready(t)
	token := nats.Token(b.issuer.Token(t, "sensor-a"))
	if nc, err := nats.Connect(url, token); err == nil {
		nc.Close()
		t.Fatal("a device was let in without keys")
	} else if errors.Is(err, nats.ErrAuthorization) {
		t.Errorf("the device was told that its token is bad: %v", err)
	}
	b.issuer.Heal()
	waitFor(t, "a device is let in", func() bool {
		nc, err := nats.Connect(url, token)
		if err == nil {
			nc.Close()
		}
		return err == nil
	})
	p.terminate(t)
}

// refuse wants a start to end with this code and to say why.
func refuse(t *testing.T, what string, code int, args []string, says ...string) {
	t.Helper()
	p := start(t, args...)
	if got := p.end(t); got != code {
		t.Errorf("%s: it ended with %d, want %d: %s", what, got, code, p.stderr.String())
	}
	for _, s := range says {
		if !strings.Contains(p.stderr.String(), s) {
			t.Errorf("%s: it did not say %q: %s", what, s, p.stderr.String())
		}
	}
}

func write(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}
