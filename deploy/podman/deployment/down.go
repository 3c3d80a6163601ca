package deployment

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
)

// Down stops and removes the containers and networks. The state directory and the servers' data stay, unless purge.
func (d *Deployment) Down(ctx context.Context, purge bool) error {
	if _, err := os.Stat(string(d.State)); err == nil { // what was never brought up has nobody to be in the way of
		release, err := d.State.lock()
		if err != nil {
			return err
		}
		defer release()
	}
	all := Modes{Development: true, Cluster: true}
	services := all.services()
	slices.Reverse(services)
	var failed error
	var servers []string
	for _, service := range services {
		is, err := d.inspect(ctx, service)
		if err != nil {
			return err
		}
		switch {
		case is.state == "":
		case image(service) == natsServer:
			servers = append(servers, service)
		default:
			failed = errors.Join(failed, d.remove(ctx, service))
		}
	}
	if len(servers) > 0 {
		failed = errors.Join(failed, d.remove(ctx, servers...))
	}
	failed = errors.Join(failed, d.removeLabelled(ctx, "network"))
	if purge {
		failed = errors.Join(failed, d.removeLabelled(ctx, "volume"), os.RemoveAll(string(d.State)))
		say(d.Out, "removed the servers' data and every key in %s", d.State)
	}
	return failed
}

// remove stops containers and removes them. Those of several servers stop together: one that looks for others by names that
// are gone does not end until its lookups do.
func (d *Deployment) remove(ctx context.Context, services ...string) error {
	names := make([]string, len(services))
	for i, service := range services {
		say(d.Out, "%-14s stops", service)
		names[i] = d.containerName(service)
	}
	// One that does not run cannot be stopped on every engine; rm says what matters.
	_, stopped := d.Engine.run(ctx, append([]string{"stop", "-t", stopSeconds}, names...)...)
	if _, err := d.Engine.run(ctx, append([]string{"rm", "-f"}, names...)...); err != nil {
		return errors.Join(stopped, err)
	}
	return nil
}

// removeLabelled removes the project's networks or volumes, which podman-compose leaves behind.
func (d *Deployment) removeLabelled(ctx context.Context, kind string) error {
	list, err := d.Engine.run(ctx, kind, "ls", "-q", "--filter", "label=com.docker.compose.project="+d.Project)
	if err != nil {
		return err
	}
	var failed error
	for _, name := range strings.Fields(list) {
		_, err := d.Engine.run(ctx, kind, "rm", name)
		failed = errors.Join(failed, err)
	}
	return failed
}

// removeForeign removes containers of this project that the modes no longer have, for example after a cluster became one server.
func (d *Deployment) removeForeign(ctx context.Context, m Modes) error {
	for _, service := range (Modes{Development: true, Cluster: true}).services() {
		if slices.Contains(m.services(), service) {
			continue
		}
		is, err := d.inspect(ctx, service)
		if err != nil {
			return err
		}
		if is.state == "" {
			continue
		}
		say(d.Out, "%-14s is removed: this deployment no longer has it", service)
		if _, err := d.Engine.run(ctx, "rm", "-f", "-t", stopSeconds, d.containerName(service)); err != nil {
			return err
		}
	}
	return nil
}
