package demo

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
)

// pubsub is the first scenario: a device and the platform talk.
func (s *stage) pubsub(ctx context.Context) error {
	const id, state, command = "sensor-test-01", "21.5", "restart"
	s.act("device_authenticates_and_pubsub")
	token, err := s.token(ctx, id)
	if err != nil {
		return err
	}
	claims, err := claimsOf(token)
	if err != nil {
		return err
	}
	s.saw("%s gets a token with its key (RFC 7523)", id)
	s.aside("iss=%v sub=%v device_id=%v, %d bytes, good until %s", claims.Issuer, claims.Subject, claims.DeviceID, len(token), claims.expires())

	platform, err := s.platform(ctx)
	if err != nil {
		return err
	}
	defer platform.Close()
	states, err := platform.subscribe("device-state." + id)
	if err != nil {
		return err
	}
	device, err := s.device(ctx, id, token)
	if err != nil {
		return err
	}
	defer device.Close()
	r, err := s.decision(ctx, id)
	if err != nil {
		return err
	}
	s.saw("it connects with the token; the decision record says")
	s.aside("%s", r.text())

	commands, err := device.subscribe("device-commands." + id)
	if err != nil {
		return err
	}
	if err := errors.Join(device.send("device-state."+id, state), expect(states, state)); err != nil {
		return err
	}
	s.saw("it publishes %q on device-state.%s, and the platform receives it", state, id)
	if err := errors.Join(platform.send("device-commands."+id, command), expect(commands, command)); err != nil {
		return err
	}
	s.saw("the platform publishes %q on device-commands.%s, and the device receives it", command, id)
	return nil
}

// others is the second scenario: a device tries what is another's.
func (s *stage) others(ctx context.Context) error {
	s.act("device_cannot_access_other_device_subjects")
	pair := map[string]*client{}
	for _, id := range []string{"sensor-a", "sensor-b"} {
		token, err := s.token(ctx, id)
		if err != nil {
			return err
		}
		c, err := s.device(ctx, id, token)
		if err != nil {
			return err
		}
		defer c.Close()
		pair[id] = c
	}
	s.saw("sensor-a and sensor-b connect")
	platform, err := s.platform(ctx)
	if err != nil {
		return err
	}
	defer platform.Close()
	return s.steal(pair["sensor-a"], pair["sensor-b"], platform)
}

// steal has a reach for what is b's.
func (s *stage) steal(a, b, platform *client) error {
	states, err := platform.subscribe("device-state.*")
	if err != nil {
		return err
	}
	stolen, err := a.subscribe("device-commands.sensor-b")
	if err != nil {
		return err
	}
	words, err := a.expectRefusal("subscription", "device-commands.sensor-b")
	if err != nil {
		return err
	}
	s.saw("sensor-a subscribes to device-commands.sensor-b; the server refuses:")
	s.aside("%s", words)
	if err := a.send("device-state.sensor-b", "forged"); err != nil {
		return err
	}
	if words, err = a.expectRefusal("publish", "device-state.sensor-b"); err != nil {
		return err
	}
	s.saw("sensor-a publishes on device-state.sensor-b; the server refuses:")
	s.aside("%s", words)

	own, err := b.subscribe("device-commands.sensor-b")
	if err != nil {
		return err
	}
	err = errors.Join(platform.send("device-commands.sensor-b", "for b"), expect(own, "for b"),
		b.send("device-state.sensor-b", "from b"), expect(states, "from b")) // and nothing forged before it
	if err != nil {
		return err
	}
	if n, _, err := stolen.Pending(); err == nil && n > 0 {
		return fmt.Errorf("sensor-a received %d messages on %s", n, stolen.Subject)
	}
	s.saw("the platform commands sensor-b: sensor-b receives it, sensor-a does not; sensor-b's own state arrives, the forged one did not")
	return nil
}

// forged is somebody who has seen a token and signs one like it, and somebody who changes one.
func (s *stage) forged(ctx context.Context) error {
	s.act("A forged token")
	genuine, err := s.token(ctx, "sensor-a")
	if err != nil {
		return err
	}
	for _, forgery := range []struct {
		name, what string
		make       func(string) (string, error)
	}{
		{"forger-1", "with the claims of sensor-a and the provider's kid, signed by a key of the forger's own", resigned},
		{"forger-2", "of sensor-a with sensor-b's device_id written into it", altered},
	} {
		token, err := forgery.make(genuine)
		if err != nil {
			return err
		}
		c, err := s.device(ctx, forgery.name, token)
		if err == nil {
			c.Close()
			return fmt.Errorf("%s was let in with a token %s", forgery.name, forgery.what)
		}
		if !errors.Is(err, nats.ErrAuthorization) {
			return err
		}
		r, err := s.decision(ctx, forgery.name)
		if err != nil {
			return err
		}
		if r.Outcome != "denied" || r.Reason != "signature_invalid" {
			return fmt.Errorf("%s was refused for another reason than its signature: %s", forgery.name, r.text())
		}
		s.saw("a token %s is refused; the record says", forgery.what)
		s.aside("%s", r.text())
	}
	return nil
}
