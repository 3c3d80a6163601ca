package cluster

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Process is a program that runs for a test.
type Process struct {
	*process
	Log *Log
}

// Run starts a command that must run until it is stopped; it is stopped, and must end well by that, when the test ends.
func Run(t testing.TB, cmd *exec.Cmd) *Process {
	t.Helper()
	log := &Log{}
	p := &Process{startProcess(t, cmd, log), log}
	t.Cleanup(func() {
		if err := p.Stop(); err != nil {
			t.Errorf("%s: %v", strings.Join(cmd.Args, " "), err)
		}
		if t.Failed() {
			t.Logf("%s wrote:\n%s", strings.Join(cmd.Args, " "), log.Tail(60))
		}
	})
	return p
}

// Stop ends the process with SIGTERM and returns how it ended. One that was stopped is left alone.
func (p *Process) Stop() error {
	if p.process == nil {
		return nil
	}
	err := p.stop()
	p.process = nil
	return err
}

// Wrote waits until the process has written text.
func (p *Process) Wrote(t testing.TB, text string) {
	t.Helper()
	Eventually(t, fmt.Sprintf("it writes %q", text), func() bool {
		select {
		case <-p.ended():
			t.Fatalf("it has ended: %v\n%s", p.err, p.Log.Tail(20))
		default:
		}
		return strings.Contains(p.Log.String(), text)
	})
}

// process is a life of its own.
type process struct {
	cmd  *exec.Cmd
	done chan struct{}
	err  error // valid once done is closed
}

func startProcess(t testing.TB, cmd *exec.Cmd, out *Log) *process {
	t.Helper()
	p := &process{cmd: cmd, done: newDone()}
	p.cmd.Stderr, p.cmd.Stdout = out, out
	p.cmd.WaitDelay = time.Second
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.done)
		p.err = p.cmd.Wait()
	}()
	return p
}

func (p *process) ended() <-chan struct{} { return p.done }

// stop sends SIGTERM, as a supervisor does, and SIGKILL to a process that does not end by it.
func (p *process) stop() error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); errors.Is(err, os.ErrProcessDone) {
		<-p.done
		return fmt.Errorf("it had ended before it was asked to: %w", p.err)
	}
	_ = p.cmd.Process.Signal(syscall.SIGCONT) // one that a failed test left paused
	select {
	case <-p.done:
		return p.err
	case <-time.After(Patience):
		return errors.Join(errors.New("SIGTERM did not end it"), p.cmd.Process.Kill())
	}
}
