package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

const poll = 10 * time.Millisecond

// process is a program that runs beside the story.
type process struct {
	name string
	log  transcript
	cmd  *exec.Cmd
	done chan struct{}
	err  error // valid once done is closed
}

// launch starts a program of bin. It runs in a process group of its own, so that Ctrl-C reaches it through stop alone: a
// second signal would end it at once.
func launch(bin, name string, args ...string) (*process, error) {
	path := filepath.Join(bin, name)
	p := &process{name: name, cmd: exec.Command(path, args...), done: make(chan struct{})} //nolint:gosec // a program that the build made
	p.cmd.Stdout, p.cmd.Stderr = &p.log, &p.log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p.cmd.WaitDelay = time.Second
	if err := p.cmd.Start(); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s is not there: run make build", path)
	} else if err != nil {
		return nil, err
	}
	go func() {
		defer close(p.done)
		p.err = p.cmd.Wait()
	}()
	return p, nil
}

// wait returns when ready holds, or why it never will.
func (p *process) wait(ctx context.Context, what string, ready func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for !ready() {
		select {
		case <-p.done:
			return p.ended()
		case <-ctx.Done():
			return fmt.Errorf("%s: %s: %w", p.name, what, ctx.Err())
		case <-time.After(poll):
		}
	}
	return nil
}

// ended says how a process ended that should not have.
func (p *process) ended() error {
	how := "exit 0"
	if p.err != nil {
		how = p.err.Error()
	}
	return fmt.Errorf("%s has ended (%s). It said:\n%s", p.name, how, p.log.tail(8))
}

// stop drains the process as a supervisor does, and kills one that does not end by it.
func (p *process) stop() error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); errors.Is(err, os.ErrProcessDone) {
		<-p.done
		return nil // whoever waited for it has said so
	}
	select {
	case <-p.done:
	case <-time.After(patience):
		err := p.cmd.Process.Kill()
		<-p.done
		return errors.Join(fmt.Errorf("%s: SIGTERM did not end it within %v", p.name, patience), err)
	}
	if p.err != nil {
		return fmt.Errorf("%s did not end well: %w", p.name, p.err)
	}
	return nil
}

// transcript is everything that a process wrote. Safe for concurrent use.
type transcript struct {
	mu   sync.Mutex // guards text
	text bytes.Buffer
}

// Write implements io.Writer.
func (t *transcript) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.text.Write(p)
}

func (t *transcript) lines() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.Split(strings.TrimRight(t.text.String(), "\n"), "\n")
}

func (t *transcript) tail(n int) string {
	lines := t.lines()
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
