package deployment

import (
	"context"
	"strings"

	"harmony.internal/authcallout/deploy/topology"
)

// Up brings the deployment from whatever state it is in to the wanted one: keys, configuration, images, and the
// containers one after the other, each ready before the next is touched. Doing it again does nothing.
func (d *Deployment) Up(ctx context.Context, c *Config, m Modes) error {
	release, err := d.State.lock()
	if err != nil {
		return err
	}
	defer release()
	r, err := d.prepare(ctx, c, m)
	if err != nil {
		return err
	}
	if err := d.removeForeign(ctx, m); err != nil {
		return err
	}
	if err := d.reconcile(ctx, m, r, m.services()); err != nil {
		return err
	}
	say(d.Out, "waiting until a device could log in")
	if err := d.probe(ctx, c, m, r); err != nil {
		return err
	}
	return d.next(m, r)
}

// Upgrade is Up for a deployment that runs, in the modes that it was brought up with.
func (d *Deployment) Upgrade(ctx context.Context, c *Config) error {
	m, err := d.State.Remembered()
	if err != nil {
		return err
	}
	return d.Up(ctx, c, m)
}

// prepare makes everything that containers are made of.
func (d *Deployment) prepare(ctx context.Context, c *Config, m Modes) (*Rendered, error) {
	r, err := d.State.render(c, m, topology.Identities{})
	if err != nil {
		return nil, err
	}
	for _, path := range r.Created {
		say(d.Out, "made %s", path)
	}
	if err := d.State.remember(m); err != nil {
		return nil, err
	}
	say(d.Out, "building the images of version %s", d.Version)
	if err := d.Engine.BuildImages(ctx, d.Root, d.Version); err != nil {
		return nil, err
	}
	return r, d.useEnvironment(r)
}

func (d *Deployment) useEnvironment(r *Rendered) error {
	env, err := d.environment(r)
	d.Engine.env = env
	return err
}

// reconcile replaces, one after the other, the containers that are not as they should be.
func (d *Deployment) reconcile(ctx context.Context, m Modes, r *Rendered, services []string) error {
	if err := d.startServers(ctx, m, r, services); err != nil {
		return err
	}
	for _, service := range services {
		want, err := d.Engine.imageID(ctx, ImageName(image(service), d.Version))
		if err != nil {
			return err
		}
		is, err := d.inspect(ctx, service)
		if err != nil {
			return err
		}
		wanted := container{state: "running", image: want, config: configOf(service, r)}
		switch {
		case trimDigest(is.image) == trimDigest(wanted.image) && is.state == wanted.state && is.config == wanted.config:
			say(d.Out, "%-14s is as it should be", service)
			continue
		case is.state == "":
			say(d.Out, "%-14s starts", service)
		default:
			say(d.Out, "%-14s is replaced (was %s)", service, is.state)
		}
		if err := d.replace(ctx, m, r, service); err != nil {
			return err
		}
		if err := d.waitHealthy(ctx, service); err != nil {
			return err
		}
	}
	return nil
}

// startServers starts the servers that do not run, and waits for them together: those of a cluster are healthy only once most
// of them are there.
func (d *Deployment) startServers(ctx context.Context, m Modes, r *Rendered, services []string) error {
	var started []string
	for _, service := range services {
		if image(service) != natsServer {
			continue
		}
		is, err := d.inspect(ctx, service)
		if err != nil {
			return err
		}
		if is.state == "running" {
			continue
		}
		say(d.Out, "%-14s starts", service)
		if err := d.replace(ctx, m, r, service); err != nil {
			return err
		}
		started = append(started, service)
	}
	for _, service := range started {
		if err := d.waitHealthy(ctx, service); err != nil {
			return err
		}
	}
	return nil
}

func trimDigest(id string) string { return strings.TrimPrefix(id, "sha256:") }

func (d *Deployment) next(m Modes, r *Rendered) error {
	say(d.Out, "\nup at nats://%s. Next:", r.Listen[0])
	if m.Development {
		say(d.Out, "  %s exec %s /devidp token -data /data -user sensor-a     a token to paste", d.Engine.cli[0], d.containerName("devidp"))
	} else {
		say(d.Out, "  make check TOKEN_FILE=token.jwt                          would this device's token work?")
	}
	say(d.Out, "  nats --server %s --nkey %s micro ls     every replica", r.Listen[0], d.State.Files().Operator)
	say(d.Out, "  make logs                                                who was admitted and who refused, and why")
	return nil
}
