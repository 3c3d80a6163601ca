package deployment

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"strings"
)

// NatsCLI runs the nats command line tool against the first server as the operator, who may look at the services, or as the
// administrator of the system account.
func (d *Deployment) NatsCLI(ctx context.Context, c *Config, as string, args []string) error {
	tool, err := exec.LookPath("nats")
	if err != nil {
		return errors.New("the nats command line tool is missing: make nats installs and runs it")
	}
	files := d.State.Files()
	seed, known := map[string]string{"operator": files.Operator, "admin": files.Admin}[as]
	if !known {
		return errors.New("only operator and admin are known")
	}
	server, err := d.cliServer(c)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, tool, append(append(server, "--nkey", seed), args...)...) //nolint:gosec // the operator's own command
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, d.Out, d.Out
	return cmd.Run()
}

// cliServer are the tool's options for the first server.
func (d *Deployment) cliServer(c *Config) ([]string, error) {
	url, err := serverURL(c.Listen)
	if err != nil {
		return nil, err
	}
	certificate, err := c.TLS.certificate()
	if err != nil || certificate == nil {
		return []string{"--server", url}, err
	}
	host, port, err := net.SplitHostPort(strings.TrimPrefix(url, "nats://"))
	return []string{"--server", "tls://" + net.JoinHostPort(certificate.hostFor(host), port), "--tlsca", d.State.in(callout, "nats.crt")}, err
}
