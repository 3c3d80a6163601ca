package deployment

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
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
