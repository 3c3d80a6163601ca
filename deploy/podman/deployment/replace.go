package deployment

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"
)

const (
	stopSeconds  = "30"
	readyTimeout = 90 * time.Second
)

// replace stops the container, which drains it, and starts a new one of that name.
func (d *Deployment) replace(ctx context.Context, m Modes, r *Rendered, service string) error {
	name := d.containerName(service)
	if is, err := d.inspect(ctx, service); err != nil {
		return err
	} else if is.state != "" {
		if _, err := d.Engine.run(ctx, "stop", "-t", stopSeconds, name); err != nil && is.state == "running" {
			return err
		}
		if _, err := d.Engine.run(ctx, "rm", "-f", name); err != nil {
			return err
		}
	}
	if err := d.portFree(service, r); err != nil {
		return err
	}
	if err := d.compose(ctx, m, "up", "-d", "--no-build", "--no-deps", service); err != nil {
		return err
	}
	is, err := d.inspect(ctx, service)
	if err != nil {
		return err
	}
	if is.state == "" { // podman-compose does not say that it failed
		return fmt.Errorf("%s was not made; %s says why", name, strings.Join(append(slices.Clone(d.Engine.compose), "up", service), " "))
	}
	return nil
}

// portFree refuses early, and says by whom it can be, what the engine would only say in its own words.
func (d *Deployment) portFree(service string, r *Rendered) error {
	number := slices.Index(Modes{Cluster: true}.servers(), service)
	if number < 0 {
		return nil
	}
	l, err := net.Listen("tcp", r.Listen[number])
	if err != nil {
		return fmt.Errorf("%w: another program has the port; stop it, or choose another with listen: in %s", err, d.File)
	}
	return l.Close()
}

// waitHealthy asks the container's own health check until it is content. A container that ended says so at once.
func (d *Deployment) waitHealthy(ctx context.Context, service string) error {
	if service == "demo-device" {
		return nil
	}
	name := d.containerName(service)
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	for {
		if d.Engine.healthy(ctx, name) {
			return nil
		}
		is, err := d.inspect(ctx, service)
		if err == nil && is.state != "running" {
			return fmt.Errorf("%s is %s instead of running; its last words:\n%s", name, is.state, d.lastWords(name))
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready after %v; its last words:\n%s", name, readyTimeout, d.lastWords(name))
		case <-time.After(200 * time.Millisecond):
		}
	}
}

func (d *Deployment) lastWords(name string) string {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	var out strings.Builder
	_ = d.Engine.stream(ctx, &out, "logs", "--tail", "15", name)
	return out.String()
}
