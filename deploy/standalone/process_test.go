package standalone_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"harmony.internal/authcallout/deploy/standalone"
)

// asProgram makes the test's own binary be standalone: the tests are about a process, its signals and its exit codes.
const asProgram = "STANDALONE_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		standalone.Main()
	}
	os.Exit(m.Run())
}

// patience bounds every wait for what must come. A test machine may be busy.
const patience = 60 * time.Second

// process is a standalone that was started. Its methods are for one goroutine.
type process struct {
	cmd            *exec.Cmd
	stdout, stderr buffer
	done           chan struct{}
}

// start starts it; it is killed when the test ends, unless it has ended by then.
func start(t *testing.T, args ...string) *process {
	t.Helper()
	return startWith(t, nil, args...)
}

// startWith is start with more environment.
func startWith(t *testing.T, environment []string, args ...string) *process {
	t.Helper()
	p := &process{cmd: exec.Command(os.Args[0], args...), done: make(chan struct{})}
	p.cmd.Env = append(append(os.Environ(), asProgram+"=1"), environment...)
	p.cmd.Stdout, p.cmd.Stderr = &p.stdout, &p.stderr
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.done)
		_ = p.cmd.Wait() // ProcessState tells how
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill() // it may have ended
		<-p.done
		if t.Failed() {
			t.Logf("standalone %s\n%s%s", strings.Join(args, " "), p.stdout.String(), p.stderr.String())
		}
	})
	return p
}

// ready returns the URL at which the process serves devices.
func (p *process) ready(t *testing.T) string {
	t.Helper()
	return p.logged(t, "ready")["url"].(string)
}

// logged waits for an entry of the log with this message and returns the first.
func (p *process) logged(t *testing.T, msg string) map[string]any {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		for line := range strings.Lines(p.stderr.String()) {
			var entry map[string]any
			if json.Unmarshal([]byte(line), &entry) == nil && entry["msg"] == msg {
				return entry
			}
		}
		select {
		case <-p.done:
			t.Fatalf("it has ended with %d before it said %q", p.cmd.ProcessState.ExitCode(), msg)
		default:
		}
		if time.Now().After(deadline) {
			t.Fatalf("it did not say %q", msg)
		}
	}
}

// end waits for the process to end and returns its exit code.
func (p *process) end(t *testing.T) int {
	t.Helper()
	select {
	case <-p.done:
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(patience):
		t.Fatal("it does not end")
		return -1
	}
}

func (p *process) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// terminate asks the process to end, as a supervisor does, and wants it to end well.
func (p *process) terminate(t *testing.T) {
	t.Helper()
	p.signal(t, syscall.SIGTERM)
	if code := p.end(t); code != 0 {
		t.Fatalf("SIGTERM ended it with %d", code)
	}
	if !strings.Contains(p.stderr.String(), `"msg":"stopped"`) {
		t.Error("it did not say that it stopped")
	}
}

func connect(t *testing.T, url string, options ...nats.Option) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect(url, append([]nats.Option{nats.Timeout(patience)}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// buffer is safe for concurrent use.
type buffer struct {
	mu   sync.Mutex // guards text
	text strings.Builder
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// waitFor polls until ok holds.
func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("still not so after %v: %s", patience, what)
		}
	}
}
