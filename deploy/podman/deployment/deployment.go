package deployment

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"harmony.internal/authcallout/deploy/topology"
)

// Deployment is one project on one engine.
type Deployment struct {
	Engine  *Engine
	Root    string // of the repository
	State   State
	File    string // deployment.yaml
	Project string // prefix of the containers' names; several can run side by side
	Version string // of the images
	Out     io.Writer
}

// container is what the engine says about one.
type container struct {
	state  string // running, exited, created ...; "" when there is none
	image  string // id
	config string // label
}

func (d *Deployment) containerName(service string) string { return d.Project + "-" + service }

func (d *Deployment) inspect(ctx context.Context, service string) (container, error) {
	there, err := d.Engine.run(ctx, "ps", "-a", "-q", "--filter", "name=^"+d.containerName(service)+"$")
	if err != nil || there == "" {
		return container{}, err
	}
	text, err := d.Engine.run(ctx, "container", "inspect", "--format",
		`{{.State.Status}} {{.Image}} {{index .Config.Labels "authcallout.config"}}`, d.containerName(service))
	if err != nil {
		return container{}, err
	}
	fields := strings.Fields(text)
	if len(fields) < 2 {
		return container{}, fmt.Errorf("%s: cannot read %q", d.containerName(service), text)
	}
	c := container{state: fields[0], image: fields[1]}
	if len(fields) > 2 {
		c.config = fields[2]
	}
	return c, nil
}

// image is what a service's container runs.
func image(service string) string {
	switch {
	case strings.HasPrefix(service, "nats-"):
		return natsServer
	case service == "demo-device":
		return "demodevice"
	}
	return strings.TrimRight(service, "-0123456789")
}

func configOf(service string, r *Rendered) string {
	switch i := image(service); i {
	case natsServer:
		return r.Hash["nats"]
	case callout, tokencheck, policy:
		return r.Hash[i]
	}
	return "dev"
}

// environment is every variable of the compose files.
func (d *Deployment) environment(r *Rendered) ([]string, error) {
	state, err := filepath.Abs(string(d.State))
	if err != nil {
		return nil, err
	}
	env := []string{
		"AUTHCALLOUT_PROJECT=" + d.Project, "AUTHCALLOUT_VERSION=" + d.Version, "AUTHCALLOUT_STATE=" + state, "AUTHCALLOUT_USER=" + userString(),
		"AUTHCALLOUT_CONFIG_NATS=" + r.Hash["nats"], "AUTHCALLOUT_CONFIG_CALLOUT=" + r.Hash[callout],
		"AUTHCALLOUT_CONFIG_TOKENCHECK=" + r.Hash[tokencheck], "AUTHCALLOUT_CONFIG_POLICY=" + r.Hash[policy],
	}
	for i, listen := range r.Listen {
		env = append(env, fmt.Sprintf("AUTHCALLOUT_LISTEN_%d=%s", i+1, listen))
	}
	return env, nil
}

func (d *Deployment) compose(ctx context.Context, m Modes, args ...string) error {
	dir := filepath.Join(d.Root, "deploy", "podman")
	argv := append(slices.Clone(d.Engine.compose), "-p", d.Project, "-f", filepath.Join(dir, "compose.yaml"))
	if m.Development {
		argv = append(argv, "-f", filepath.Join(dir, "compose.dev.yaml"))
	}
	if m.Cluster {
		argv = append(argv, "-f", filepath.Join(dir, "compose.cluster.yaml"))
	}
	_, err := d.Engine.command(ctx, nil, append(argv, args...))
	return err
}

const (
	stopSeconds  = "30"
	readyTimeout = 90 * time.Second
)

// Up brings the deployment from whatever state it is in to the wanted one: keys, configuration, images, and the
// containers one after the other, each ready before the next is touched. Doing it again does nothing.
func (d *Deployment) Up(ctx context.Context, c *Config, m Modes) error {
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

// Down stops and removes the containers and networks. The state directory and the servers' data stay, unless purge.
func (d *Deployment) Down(ctx context.Context, purge bool) error {
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

// Logs prints what the containers say, and follows it until ctx ends.
func (d *Deployment) Logs(ctx context.Context, service string, follow bool) error {
	m, err := d.State.Remembered()
	if err != nil {
		return err
	}
	services := m.services()
	if service != "" {
		if !slices.Contains(services, service) {
			return fmt.Errorf("no container %q: one of %s", service, strings.Join(services, ", "))
		}
		services = []string{service}
	}
	args := []string{"logs", "--names"}
	if d.Engine.cli[0] == "docker" {
		args = []string{"logs"}
	}
	if !follow || d.Engine.cli[0] == "docker" { // docker logs follows one container at most
		for _, s := range services {
			if err := d.Engine.stream(ctx, d.Out, append(slices.Clone(args), d.containerName(s))...); err != nil {
				return err
			}
		}
		return nil
	}
	args = append(args, "-f", "--tail", "20")
	for _, s := range services {
		args = append(args, d.containerName(s))
	}
	return d.Engine.stream(ctx, d.Out, args...)
}

// Upgrade is Up for a deployment that runs, in the modes that it was brought up with.
func (d *Deployment) Upgrade(ctx context.Context, c *Config) error {
	m, err := d.State.Remembered()
	if err != nil {
		return err
	}
	return d.Up(ctx, c, m)
}

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
