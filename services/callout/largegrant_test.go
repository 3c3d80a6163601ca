package callout

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"harmony.internal/authcallout/shared/natstest"
	"harmony.internal/authcallout/shared/wire"
)

// What fits is admitted by a real server and works to the last subject; what does not is refused here, with a reason,
// before the server would drop it in silence.
func TestManySubjects(t *testing.T) {
	for _, top := range []*natstest.Topology{natstest.Reference(t), natstest.Hardened(t, true)} {
		for _, row := range []struct {
			name     string
			server   string // further configuration
			max      int    // max_user_jwt_bytes; 0 for the default
			subjects int
			admitted bool
		}{
			{"within the default", "", 0, 2400, true},
			{"over the default", "", 0, 2800, false},
			{"within the largest that can be configured", "", maxMaxUserJWT, 6000, true},
			{"within a small max_payload", "max_payload: 65536", 0, 850, true},
			{"over a small max_payload", "max_payload: 65536", 0, 1100, false},
		} {
			t.Run(top.Name+"/"+row.name, func(t *testing.T) {
				grant := func() *wire.Grant {
					g := deviceGrant()
					g.Publish.Allow = nil
					for i := range row.subjects {
						g.Publish.Allow = append(g.Publish.Allow, channel(i))
					}
					return g
				}
				w := startWorldOn(t, top, top.Run(t, "\n"+row.server), grant, goodToken, func(c *Config) {
					if row.max != 0 {
						c.MaxUserJWTBytes = row.max
					}
				})
				nc, err := nats.Connect(w.server.ClientURL(), nats.Token(deviceToken), nats.Timeout(time.Minute), nats.MaxReconnects(0))
				if row.admitted != (err == nil) || !row.admitted && !errors.Is(err, nats.ErrAuthorization) {
					t.Errorf("connect: %v", err)
				}
				if !row.admitted {
					natstest.Eventually(t, "the record has the reason", func() bool {
						outcomes, reasons := w.service.recorder.counts()
						return outcomes[outcomeDenied] == 1 && reasons[wire.GrantTooLarge.String()] == 1
					})
					return
				}
				if err != nil {
					t.Fatal(w.service.recorder.counts())
				}
				defer nc.Close()
				publishes(t, nc, channel(row.subjects-1), nil)
				publishes(t, nc, channel(row.subjects), nats.ErrPermissionViolation)
			})
		}
	}
}

func channel(i int) string { return fmt.Sprintf("device-state.sensor-a.channel-%05d", i) }

// publishes wants the server to take a publication, or to refuse it with want.
func publishes(t *testing.T, nc *nats.Conn, subject string, want error) {
	t.Helper()
	if err := nc.Publish(subject, nil); err != nil {
		t.Fatal(err)
	}
	if err := nc.FlushTimeout(time.Minute); err != nil {
		t.Fatal(err)
	}
	if err := nc.LastError(); !errors.Is(err, want) {
		t.Errorf("publishing %s: %v, want %v", subject, err, want)
	}
}
