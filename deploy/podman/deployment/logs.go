package deployment

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

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
