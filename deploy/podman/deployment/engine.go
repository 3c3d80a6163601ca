package deployment

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
)

// Engine runs containers: podman with podman-compose, or docker with its compose plugin.
type Engine struct {
	cli     []string
	compose []string
	env     []string // beside the process's own
}

// NewEngine returns the engine of that name and refuses when a part of it is missing.
func NewEngine(name string) (*Engine, error) {
	switch name {
	case "podman":
		e := &Engine{cli: []string{"podman"}, compose: []string{"podman-compose"}}
		var missing []string
		for _, tool := range []string{"podman", "podman-compose", "iptables"} {
			if _, err := exec.LookPath(tool); err != nil {
				missing = append(missing, tool)
			}
		}
		if missing != nil {
			return nil, fmt.Errorf("%s missing: apt-get install podman podman-compose runc netavark aardvark-dns iptables", strings.Join(missing, " and "))
		}
		if os.Geteuid() != 0 {
			// Without root podman gives a container's user another identity on the host, which cannot read the 0600 secrets.
			return nil, errors.New("podman is used as root here: sudo make up; the containers themselves run as nobody, without any capability")
		}
		return e, nil
	case "docker":
		if _, err := exec.LookPath("docker"); err != nil {
			return nil, errors.New("docker is missing: install it with its compose plugin, or use podman")
		}
		return &Engine{cli: []string{"docker"}, compose: []string{"docker", "compose"}}, nil
	}
	return nil, fmt.Errorf("engine %q: podman or docker", name)
}

// run runs the engine's command line and returns what it prints; an error carries the end of what it said.
func (e *Engine) run(ctx context.Context, args ...string) (string, error) {
	return e.command(ctx, nil, append(append([]string{}, e.cli...), args...))
}

// stream runs it with its output going where out points.
func (e *Engine) stream(ctx context.Context, out io.Writer, args ...string) error {
	_, err := e.command(ctx, out, append(append([]string{}, e.cli...), args...))
	return err
}

func (e *Engine) command(ctx context.Context, out io.Writer, argv []string) (string, error) {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...) //nolint:gosec // the engine's own command line
	cmd.Env = append(os.Environ(), e.env...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if out != nil {
		cmd.Stdout, cmd.Stderr = out, out
	}
	if err := cmd.Run(); err != nil {
		return stdout.String(), fmt.Errorf("%s: %w: %s", strings.Join(argv, " "), err, lastLines(stderr.String(), 5))
	}
	return strings.TrimSpace(stdout.String()), nil
}

// healthy runs the container's health check now, or, where the engine cannot, returns what the last run found. podman needs systemd
// for periodic runs; asking does not.
func (e *Engine) healthy(ctx context.Context, name string) bool {
	if e.cli[0] == "docker" {
		status, err := e.run(ctx, "container", "inspect", "--format", "{{.State.Health.Status}}", name)
		return err == nil && status == "healthy"
	}
	_, err := e.run(ctx, "healthcheck", "run", name)
	return err == nil
}

// lastLines leaves out what podman says about health timers on a host without systemd; it works without them.
func lastLines(text string, n int) string {
	var lines []string
	for line := range strings.Lines(strings.TrimSpace(text)) {
		if line = strings.TrimSpace(line); line != "" && !strings.Contains(line, "systemd connection") {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines[max(0, len(lines)-n):], "; ")
}
