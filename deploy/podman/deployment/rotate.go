package deployment

import (
	"context"
	"fmt"
	"os"
	"strings"

	"harmony.internal/authcallout/deploy/topology"
)

// RotateKeys replaces the keys of the services, then those that the servers trust the callout by.
//
// The services' keys change under running logins: for a while the servers accept both, and each replica is replaced in turn.
// The issuer and the xkey cannot: a server knows one of each. They change while the servers are down, because a
// refused connection is the one thing that every client survives; so every device reconnects once.
func (d *Deployment) RotateKeys(ctx context.Context, c *Config) error {
	m, err := d.State.Remembered()
	if err != nil {
		return err
	}
	release, err := d.State.lock()
	if err != nil {
		return err
	}
	defer release()
	files := d.State.Files()
	old, _, err := topology.Ensure(files)
	if err != nil {
		return err
	}
	say(d.Out, "the services' keys: the servers accept old and new")
	for _, path := range []string{files.Callout, files.Tokencheck, files.Policy} {
		if err := os.Remove(path); err != nil {
			return err
		}
	}
	both := topology.Identities{Callout: old.Callout, Tokencheck: old.Tokencheck, Policy: old.Policy}
	r, err := d.State.render(c, m, both)
	if err != nil {
		return err
	}
	if err := d.useEnvironment(r); err != nil {
		return err
	}
	if err := d.reloadServers(ctx, m); err != nil {
		return err
	}
	services := m.services()[len(m.servers()):]
	if err := d.reconcile(ctx, m, r, services); err != nil {
		return err
	}
	say(d.Out, "issuer and xkey: the servers stop, every device reconnects")
	for _, path := range []string{files.Issuer, files.XKey} {
		if err := os.Remove(path); err != nil {
			return err
		}
	}
	if r, err = d.State.render(c, m, topology.Identities{}); err != nil {
		return err
	}
	if err := d.useEnvironment(r); err != nil {
		return err
	}
	if err := d.restartWith(ctx, m, r); err != nil {
		return err
	}
	return d.probe(ctx, c, m, r)
}

// reloadServers has every server read its configuration again; connections stay.
func (d *Deployment) reloadServers(ctx context.Context, m Modes) error {
	for _, server := range m.servers() {
		if _, err := d.Engine.run(ctx, "kill", "--signal", "HUP", d.containerName(server)); err != nil {
			return err
		}
	}
	return nil
}

// restartWith stops all servers, gives the callouts their new keys, and starts everything again.
func (d *Deployment) restartWith(ctx context.Context, m Modes, r *Rendered) error {
	for _, server := range m.servers() {
		if _, err := d.Engine.run(ctx, "stop", "-t", stopSeconds, d.containerName(server)); err != nil {
			return err
		}
	}
	var callouts []string
	for _, service := range m.services() {
		if strings.HasPrefix(service, callout) {
			callouts = append(callouts, service)
			if err := d.replace(ctx, m, r, service); err != nil { // healthy only once there is a server
				return err
			}
		}
	}
	for _, server := range m.servers() {
		if err := d.replace(ctx, m, r, server); err != nil {
			return err
		}
	}
	for _, service := range append(m.servers(), callouts...) {
		if err := d.waitHealthy(ctx, service); err != nil {
			return fmt.Errorf("after the rotation: %w", err)
		}
	}
	return nil
}
