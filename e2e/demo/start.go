package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Names below the directory of a run.
const (
	providerData = "devidp"
	serverData   = "data"
)

func (s *stage) path(elements ...string) string {
	return filepath.Join(append([]string{s.dir}, elements...)...)
}

// start brings up the provider and then the server, whose first start needs to be told of it.
func (s *stage) start(ctx context.Context) error {
	s.act("An identity provider, and nats-server with the three services in one process")
	var err error
	if s.provider, err = launch(s.Bin, "devidp", "serve", "-data", s.path(providerData), "-listen", "127.0.0.1:0"); err != nil {
		return err
	}
	if err := s.provider.wait(ctx, "says where it is", s.readEndpoint); err != nil {
		return err
	}
	s.saw("devidp serves %s, for development alone; sensor-test-01, sensor-a and sensor-b have a key there", s.issuer)

	s.server, err = launch(s.Bin, "standalone", "-data", s.path(serverData), "-listen", "127.0.0.1:-1",
		"-issuer", s.issuer, "-project", s.project, "-role", "device", "-device-claim", "device_id")
	if err != nil {
		return err
	}
	if err := s.server.wait(ctx, "is ready for devices", s.readURL); err != nil {
		return err
	}
	s.saw("standalone made keys and configuration and serves %s", s.url)
	rules, err := os.ReadFile(s.path(serverData, "rules.yaml"))
	if err != nil {
		return err
	}
	s.aside("its rules:")
	for line := range strings.Lines(string(rules)) {
		if !strings.HasPrefix(line, "#") {
			s.aside("  %s", strings.TrimRight(line, "\n"))
		}
	}
	return nil
}

// readEndpoint takes over what devidp says about itself once it listens.
func (s *stage) readEndpoint() bool {
	var endpoint struct{ Issuer, Project string }
	raw, err := os.ReadFile(s.path(providerData, "endpoint.json"))
	if err != nil || json.Unmarshal(raw, &endpoint) != nil {
		return false
	}
	s.issuer, s.project = endpoint.Issuer, endpoint.Project
	return true
}

// readURL takes over where standalone serves from its log.
func (s *stage) readURL() bool {
	for _, line := range s.server.log.lines() {
		var entry struct{ Msg, Service, URL string }
		if json.Unmarshal([]byte(line), &entry) == nil && entry.Msg == "ready" && entry.Service == "standalone" {
			s.url = entry.URL
			return true
		}
	}
	return false
}

// token has a device obtain its token with its key, by the command that a person has for it.
func (s *stage) token(ctx context.Context, device string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(s.Bin, "devidp"), "token", "-data", s.path(providerData), "-user", device) //nolint:gosec // a program that the build made
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("a token for %s: %w: %s", device, err, strings.TrimSpace(stderr.String()))
	}
	return strings.TrimSpace(string(out)), nil
}
