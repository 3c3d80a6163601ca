package scenario

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

// patience bounds every wait for something that must come.
const patience = 60 * time.Second

// again is when what did not arrive is published again.
const again = time.Second

// Site is a running system.
type Site struct {
	// URLs of the servers; a client connects to any.
	URLs []string
	// Platform is how the platform logs in, by its password.
	Platform nats.Option
	// Token returns a good token of a device.
	Token func(t testing.TB, device string) string
}

// Scenarios are those of the reference flow, by name.
func Scenarios() []struct {
	Name string
	Run  func(*testing.T, Site)
} {
	return []struct {
		Name string
		Run  func(*testing.T, Site)
	}{
		{"device_authenticates_and_pubsub", DeviceAuthenticatesAndPubsub},
		{"device_cannot_access_other_device_subjects", DeviceCannotAccessOtherDeviceSubjects},
	}
}

// DeviceAuthenticatesAndPubsub has a device connect with its token; the platform receives its state, and it receives the
// platform's command.
func DeviceAuthenticatesAndPubsub(t *testing.T, site Site) {
	const id = "sensor-test-01"
	platform := site.connect(t, site.Platform)
	states := subscribe(t, platform, "device-state."+id)
	device := site.connect(t, nats.Token(site.Token(t, id)), nats.Name(id))
	commands := subscribe(t, device, "device-commands."+id)

	deliver(t, device, states, "21.5")
	deliver(t, platform, commands, "restart")

	// The device may also ask and be answered.
	answered, err := platform.Subscribe("device-state."+id, func(m *nats.Msg) {
		if m.Reply != "" {
			_ = m.Respond([]byte("noted")) // a lost answer fails the request below
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	flush(t, platform)
	reply, err := device.Request("device-state."+id, []byte("22.0"), patience)
	if err != nil || string(reply.Data) != "noted" {
		t.Fatalf("the device's request: %v", err)
	}
	if err := answered.Unsubscribe(); err != nil {
		t.Fatal(err)
	}
}

// DeviceCannotAccessOtherDeviceSubjects has two devices try: neither reads the other's commands nor speaks in its name,
// and each still has its own subjects.
func DeviceCannotAccessOtherDeviceSubjects(t *testing.T, site Site) {
	refused := make(chan error, 64)
	collect := nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
		select {
		case refused <- err:
		default:
		}
	})
	platform := site.connect(t, site.Platform)
	a := site.connect(t, nats.Token(site.Token(t, "sensor-a")), nats.Name("sensor-a"), collect)
	b := site.connect(t, nats.Token(site.Token(t, "sensor-b")), nats.Name("sensor-b"))

	var stolen []*nats.Subscription
	for _, subject := range []string{
		"device-commands.sensor-b", "device-commands.*", "device-commands.>", ">", "*.sensor-b", "device-state.sensor-a", "device-state.sensor-b",
	} {
		sub, err := a.SubscribeSync(subject)
		if err != nil {
			t.Fatal(err)
		}
		expectRefusal(t, refused, "subscription", subject)
		stolen = append(stolen, sub)
	}
	states, forged := subscribe(t, platform, "device-state.sensor-a"), subscribe(t, platform, "device-state.sensor-b")
	for _, subject := range []string{"device-state.sensor-b", "device-commands.sensor-b", "device-commands.sensor-a"} {
		publish(t, a, subject, "forged")
		expectRefusal(t, refused, "publish", subject)
	}

	own := subscribe(t, a, "device-commands.sensor-a")
	others := subscribe(t, b, "device-commands.sensor-b")
	deliver(t, platform, others, "for b")
	deliver(t, platform, own, "for a")
	deliver(t, a, states, "from a")
	if n, _, err := forged.Pending(); err != nil || n > 0 {
		t.Errorf("the platform received %d messages in the name of sensor-b: %v", n, err)
	}
	for _, sub := range stolen {
		if n, _, err := sub.Pending(); err == nil && n > 0 {
			t.Errorf("sensor-a received %d messages on %s", n, sub.Subject)
		}
	}
}

func (s Site) connect(t testing.TB, options ...nats.Option) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect(strings.Join(s.URLs, ","), append([]nats.Option{nats.Timeout(patience)}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// subscribe returns a subscription that the server knows.
func subscribe(t testing.TB, nc *nats.Conn, subject string) *nats.Subscription {
	t.Helper()
	sub, err := nc.SubscribeSync(subject)
	if err != nil {
		t.Fatal(err)
	}
	flush(t, nc)
	return sub
}

func publish(t testing.TB, nc *nats.Conn, subject, text string) {
	t.Helper()
	if err := nc.Publish(subject, []byte(text)); err != nil {
		t.Fatal(err)
	}
	flush(t, nc)
}

func flush(t testing.TB, nc *nats.Conn) {
	t.Helper()
	if err := nc.FlushTimeout(patience); err != nil {
		t.Fatal(err)
	}
}

// deliver publishes text on the subject of a subscription until it arrives there, and nothing else: in a cluster the other servers
// hear of a subscription a moment after its own has taken it, and what is published before is lost.
func deliver(t testing.TB, from *nats.Conn, to *nats.Subscription, text string) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; {
		publish(t, from, to.Subject, text)
		m, err := to.NextMsg(again)
		switch {
		case err == nil && string(m.Data) == text:
			return
		case err == nil:
			t.Fatalf("%s: %q arrived, want %q", to.Subject, m.Data, text)
		case !errors.Is(err, nats.ErrTimeout) || time.Now().After(deadline):
			t.Fatalf("%s: %q did not arrive: %v", to.Subject, text, err)
		}
	}
}

// expectRefusal waits for the server's permissions violation.
func expectRefusal(t testing.TB, refused <-chan error, verb, subject string) {
	t.Helper()
	want := strings.ToLower(fmt.Sprintf("%s to %q", verb, subject))
	for deadline := time.After(patience); ; {
		select {
		case err := <-refused:
			if errors.Is(err, nats.ErrPermissionViolation) && strings.Contains(strings.ToLower(err.Error()), want) {
				return
			}
		case <-deadline:
			t.Fatalf("sensor-a was not refused: %s", want)
		}
	}
}
