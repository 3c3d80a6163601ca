package deployment

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
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
		return fmt.Errorf("nobody is called %q: operator or admin", as)
	}
	url, err := serverURL(c.Listen)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, tool, append([]string{"--server", url, "--nkey", seed}, args...)...) //nolint:gosec // the operator's own command
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, d.Out, d.Out
	return cmd.Run()
}
