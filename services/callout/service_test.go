package callout

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"

	"harmony.internal/authcallout/shared/natstest"
	"harmony.internal/authcallout/shared/natsx"
	"harmony.internal/authcallout/shared/wire"
)

// world is a server of one topology with a running callout and fake neighbours.
type world struct {
	topology *natstest.Topology
	server   *server.Server
	config   *Config
	service  *Service
	stop     context.CancelFunc
	ended    chan error
}

func startWorld(t *testing.T, top *natstest.Topology, check func(*wire.CheckRequest) (*wire.Verified, *wire.Error)) *world {
	t.Helper()
	return startWorldWith(t, top, check, func(*Config) {})
}

// startWorldWith lets the test change the callout's configuration.
func startWorldWith(t *testing.T, top *natstest.Topology, check func(*wire.CheckRequest) (*wire.Verified, *wire.Error), change func(*Config)) *world {
	t.Helper()
	return startWorldOn(t, top, top.Run(t), deviceGrant, check, change)
}

// startWorldOn lets the test bring the server and choose what policy grants.
func startWorldOn(t *testing.T, top *natstest.Topology, s *server.Server, grant func() *wire.Grant,
	check func(*wire.CheckRequest) (*wire.Verified, *wire.Error), change func(*Config),
) *world {
	t.Helper()
	w := &world{topology: top, server: s, ended: make(chan error, 1)}
	tokencheck, err := natsx.Connect(top.NATS(wire.QueueTokencheck, s), wire.QueueTokencheck, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tokencheck.Close)
	policy, err := natsx.Connect(top.NATS(wire.QueuePolicy, s), wire.QueuePolicy, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(policy.Close)
	natstest.FakeTokencheck(t, tokencheck.Conn, check)
	natstest.FakePolicy(t, policy.Conn, func(*wire.DecideRequest) (*wire.Grant, *wire.Error) { return grant(), nil })

	w.config = &Config{NATS: top.NATS(wire.QueueCallout, s), IssuerSeedFile: top.IssuerFile, XKeySeedFile: top.XKeyFile, Account: natstest.Devices}
	w.config.SetDefaults()
	change(w.config)
	w.start(t)
	return w
}

func (w *world) start(t *testing.T) {
	t.Helper()
	var err error
	if w.service, err = New(w.config, Deps{Log: zaptest.NewLogger(t, zaptest.Level(zap.InfoLevel)), Version: "1.2.3"}); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	w.stop = stop
	go func() { w.ended <- w.service.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-w.ended; err != nil {
			t.Errorf("the service ended with %v", err)
		}
	})
	natstest.Eventually(t, "the callout serves", func() bool {
		subs, err := w.server.Subsz(&server.SubszOptions{Subscriptions: true, Account: w.account(), Test: wire.SubjectUserAuth})
		return err == nil && len(subs.Subs) > 0
	})
}

// conn is a further connection of the callout's user.
func (w *world) conn(t *testing.T) *natsx.Conn {
	t.Helper()
	c, err := natsx.Connect(w.config.NATS, wire.QueueCallout, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	if err := c.WaitConnected(t.Context()); err != nil {
		t.Fatal(err)
	}
	return c
}

// account is the services'.
func (w *world) account() string {
	if w.topology.Hardened {
		return natstest.Services
	}
	return natstest.Devices
}

func goodToken(q *wire.CheckRequest) (*wire.Verified, *wire.Error) {
	if q.Token != deviceToken {
		return nil, wire.Fail(wire.SignatureInvalid, "", nil)
	}
	return verified(time.Now().Add(time.Hour)), nil
}

func TestDeviceLogsIn(t *testing.T) {
	for _, top := range natstest.Topologies(t) {
		t.Run(top.Name, func(t *testing.T) {
			w := startWorld(t, top, goodToken)
			device := natstest.Connect(t, w.server, nats.Token(deviceToken))
			if err := device.Publish("device-state.sensor-a", nil); err != nil {
				t.Fatal(err)
			}
			if _, err := device.SubscribeSync("device-commands.sensor-b"); err != nil {
				t.Fatal(err)
			}
			if err := device.Flush(); err != nil {
				t.Fatal(err)
			}
			if err := device.LastError(); !errors.Is(err, nats.ErrPermissionViolation) {
				t.Errorf("subscribing to another device's commands: %v", err)
			}
			info, err := w.server.Connz(&server.ConnzOptions{Username: true, Account: natstest.Devices})
			if err != nil {
				t.Fatal(err)
			}
			named := false
			for _, c := range info.Conns {
				named = named || c.AuthorizedUser == "sensor-a"
			}
			if !named {
				t.Error("the connection is not listed under the device id")
			}

			// pass, as MQTT clients and clients that know only user and password send it.
			natstest.Connect(t, w.server, nats.UserInfo("anything", deviceToken))
		})
	}
}

func TestBadTokenIsToldAtOnce(t *testing.T) {
	for _, top := range natstest.Topologies(t) {
		t.Run(top.Name, func(t *testing.T) {
			w := startWorld(t, top, goodToken)
			for _, option := range []nats.Option{nats.Token("forged"), nats.UserInfo("someone", "guess"), nats.Name("no token at all")} {
				_, err := nats.Connect(w.server.ClientURL(), option, nats.Timeout(30*time.Second))
				if !errors.Is(err, nats.ErrAuthorization) {
					t.Errorf("connect: %v, want an authorization violation", err)
				}
			}
			natstest.Eventually(t, "three denials are counted", func() bool {
				return w.service.stats().Outcomes[outcomeDenied] == 3
			})
			reasons := w.service.stats().Reasons
			if reasons["signature_invalid"] != 2 || reasons["no_token"] != 1 {
				t.Errorf("reasons are %v", reasons)
			}
		})
	}
}

// In transient trouble the hardened topology closes the connection, and the reference topology says nothing.
func TestTransientTrouble(t *testing.T) {
	for _, top := range natstest.Topologies(t) {
		t.Run(top.Name, func(t *testing.T) {
			w := startWorld(t, top, func(*wire.CheckRequest) (*wire.Verified, *wire.Error) {
				return nil, wire.Fail(wire.KeySetUnavailable, "", nil)
			})
			mode, outcome := modeSilence, outcomeSilent
			if top.Hardened {
				mode, outcome = modeKick, outcomeHungUp
			}
			if got := w.service.hangups.mode(); got != mode {
				t.Fatalf("mode %s, want %s", got, mode)
			}
			nc, err := nats.Connect(w.server.ClientURL(), nats.Token(deviceToken), nats.Timeout(time.Second))
			if err == nil {
				nc.Close()
				t.Fatal("connected")
			}
			if errors.Is(err, nats.ErrAuthorization) {
				t.Errorf("the client was told an authorization error: %v", err)
			}
			natstest.Eventually(t, "the outcome is recorded", func() bool { return w.service.stats().Outcomes[outcome] >= 1 })
			if top.Hardened {
				natstest.Eventually(t, "the server was asked", func() bool { return w.service.stats().HangUpsAsked >= 1 })
			}
		})
	}
}

func TestMetadataAndStats(t *testing.T) {
	w := startWorld(t, natstest.Reference(t), goodToken)
	natstest.Connect(t, w.server, nats.Token(deviceToken))
	admin := natstest.Connect(t, w.server, nats.UserInfo(natstest.ServiceUser, natstest.ServiceUser))
	m, err := admin.Request("$SRV.INFO.callout", nil, 30*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	var info struct {
		Version  string            `json:"version"`
		Metadata map[string]string `json:"metadata"`
	}
	if err := json.Unmarshal(m.Data, &info); err != nil {
		t.Fatal(err)
	}
	if info.Version != "1.2.3" || info.Metadata["hang_up"] != modeSilence || info.Metadata["config"] == "" ||
		info.Metadata["issuer"] != w.service.keyring.keys().issuers[0].public || info.Metadata["sealed"] != "no" {
		t.Errorf("info is %+v", info)
	}
	m, err = admin.Request("$SRV.STATS.callout", nil, 30*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	var stats struct {
		Endpoints []struct {
			Data struct {
				Service Stats `json:"service"`
			} `json:"data"`
		} `json:"endpoints"`
	}
	if err := json.Unmarshal(m.Data, &stats); err != nil {
		t.Fatal(err)
	}
	if len(stats.Endpoints) != 2 || stats.Endpoints[0].Data.Service.Outcomes[outcomeAdmitted] != 1 {
		t.Errorf("stats are %s", m.Data)
	}
}

// The right to hang up is looked at again after a reconnect.
func TestProbeAfterReconnect(t *testing.T) {
	w := startWorld(t, natstest.Hardened(t, false), goodToken)
	w.service.hangups.allowed.Store(false)
	conns, err := w.server.Connz(&server.ConnzOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range conns.Conns {
		if c.Name == asideName {
			if err := w.server.DisconnectClientByID(c.Cid); err != nil {
				t.Fatal(err)
			}
		}
	}
	natstest.Eventually(t, "the right is found again", func() bool { return w.service.hangups.mode() == modeKick })
}

// startWorldAtWork returns a world with one login under way, what lets tokencheck answer it, and what became of it.
func startWorldAtWork(t *testing.T) (w *world, release func(), result <-chan error) {
	t.Helper()
	asked, released := make(chan struct{}), make(chan struct{})
	w = startWorld(t, natstest.Hardened(t, true), func(q *wire.CheckRequest) (*wire.Verified, *wire.Error) {
		close(asked)
		<-released
		return goodToken(q)
	})
	ended := make(chan error, 1)
	go func() {
		nc, err := nats.Connect(w.server.ClientURL(), nats.Token(deviceToken), nats.Timeout(30*time.Second))
		if err == nil {
			nc.Close()
		}
		ended <- err
	}()
	<-asked
	return w, func() { close(released) }, ended
}

// A login that is under way when the service is asked to stop is answered.
func TestRunDrains(t *testing.T) {
	w, release, result := startWorldAtWork(t)
	w.stop()
	release()
	if err := <-result; err != nil {
		t.Errorf("the login that was under way: %v", err)
	}
}

func TestRunEndsWhenAskedBeforeTheServerIsThere(t *testing.T) {
	top := natstest.Reference(t)
	s := top.Run(t)
	cfg := &Config{NATS: top.NATS(wire.QueueCallout, s), IssuerSeedFile: top.IssuerFile}
	cfg.NATS.URLs = []string{"nats://127.0.0.1:1"}
	cfg.SetDefaults()
	service, err := New(cfg, Deps{Log: zap.NewNop(), Version: "1.2.3"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- service.Run(ctx) }()
	stop()
	if err := <-ended; err != nil {
		t.Errorf("ended with %v", err)
	}
}
