package demo

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
)

// keep prints what to try by hand and returns when ctx ends, or a program does.
func (s *stage) keep(ctx context.Context) error {
	token, err := s.token(ctx, "sensor-test-01")
	if err != nil {
		return err
	}
	claims, err := claimsOf(token)
	if err != nil {
		return err
	}
	s.act("By hand, in another terminal in this directory, with the nats CLI (go install github.com/nats-io/natscli/nats@v0.5.1)")
	s.say("\n  export NATS_URL=%s\n", s.url)
	s.say("  TOKEN=%s   # sensor-test-01, good until %s\n", token, claims.expires())
	for _, c := range s.commands() {
		s.say("\n  # %s\n", c.what)
		for line := range strings.Lines(c.line) {
			s.say("  %s", line)
		}
		s.say("\n")
	}
	s.say("\nEverything is in %s and goes with it. Ctrl-C stops it.\n", s.dir)
	select {
	case <-ctx.Done():
		s.say("\nStopping.\n")
		return nil
	case <-s.server.done:
		return s.explain(s.server.ended())
	case <-s.provider.done:
		return s.provider.ended()
	}
}

// command is one for a person, as it is typed into a shell.
type command struct{ what, line string }

func (s *stage) commands() []command {
	data, idp := s.path(serverData), s.path(providerData)
	devidp := filepath.Join(s.Bin, "devidp")
	platform := fmt.Sprintf(`nats --user platform --password "$(cat %s)"`, filepath.Join(data, "keys", "platform.password"))
	operator := "nats --nkey " + filepath.Join(data, "keys", "operator.nk")
	return []command{
		{"the device listens for one command, and the platform sends it", `nats --token "$TOKEN" sub --count 1 device-commands.sensor-test-01 &` + "\n" +
			"sleep 1; " + platform + " pub device-commands.sensor-test-01 restart; wait"},
		{"the platform listens, and the device publishes its state", platform + " sub --count 1 'device-state.*' &\n" +
			`sleep 1; nats --token "$TOKEN" pub device-state.sensor-test-01 21.5; wait`},
		{"another device's commands: Permissions Violation", `nats --token "$TOKEN" sub --count 1 device-commands.sensor-b`},
		{"a changed token: Authorization Violation", `nats --token "${TOKEN}x" pub device-state.sensor-test-01 21.5`},
		{"the services: who they are, what they did", operator + " micro ls\n" + operator + " micro stats callout"},
		{"every decision as it is made", operator + " sub 'auth.v1.decision.*'"},
		{"one more device, and its token", devidp + " add-user -data " + idp + " -user sensor-c\n" + devidp + " token -data " + idp + " -user sensor-c"},
		{"a new signing key at the provider: new tokens are good at once", devidp + " rotate -data " + idp + "\n" +
			"TOKEN=$(" + devidp + " token -data " + idp + " -user sensor-test-01)"},
		{"other rules: edit and save, no restart", "${EDITOR:-vi} " + filepath.Join(data, "rules.yaml")},
	}
}
