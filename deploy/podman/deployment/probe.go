package deployment

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"harmony.internal/authcallout/deploy/devidp"
	"harmony.internal/authcallout/deploy/topology"
)

const (
	connectTimeout = 2 * time.Second // a default client's
	probeTimeout   = 60 * time.Second
	// atOnce tells a refusal from a time-out: the server waits two seconds at least before it gives up.
	atOnce = 1500 * time.Millisecond
)

// dial connects to the first server as something on this host would.
func (d *Deployment) dial(r *Rendered, options ...nats.Option) (*nats.Conn, error) {
	url, err := serverURL(r.Listen[0])
	if err != nil {
		return nil, err
	}
	if r.Certificate != nil {
		options = append(options, nats.Secure(r.Certificate.client()))
	}
	quiet := nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {})
	return nats.Connect(url, append([]nats.Option{nats.Timeout(connectTimeout), nats.NoReconnect(), quiet}, options...)...)
}

// serverURL is how this host reaches an address that a server listens on.
func serverURL(listen string) (string, error) {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return "", err
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return "nats://" + net.JoinHostPort(host, port), nil
}

func (d *Deployment) dialPlatform(r *Rendered) (*nats.Conn, error) {
	password, err := os.ReadFile(d.State.Files().Platform)
	if err != nil {
		return nil, err
	}
	return d.dial(r, nats.UserInfo(topology.PlatformUser, strings.TrimSpace(string(password))))
}

func (d *Deployment) dialSeed(r *Rendered, seedFile string) (*nats.Conn, error) {
	option, err := nats.NkeyOptionFromSeed(seedFile)
	if err != nil {
		return nil, err
	}
	return d.dial(r, option)
}

// probe waits until the deployment does what it is for: a device with a good token logs in, or, where no such token can
// be had, a wrong token is refused at once.
func (d *Deployment) probe(ctx context.Context, c *Config, m Modes, r *Rendered) error {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	for {
		err := d.probeOnce(ctx, c, m, r)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("no device could log in within %v: %w; make logs says why", probeTimeout, err)
		case <-time.After(250 * time.Millisecond):
		}
	}
}

func (d *Deployment) probeOnce(ctx context.Context, c *Config, m Modes, r *Rendered) error {
	token, err := d.probeToken(ctx, c, m)
	if err != nil {
		return err
	}
	if token == "" {
		return d.refusedAtOnce(r)
	}
	device, err := d.dial(r, nats.Token(token))
	if err != nil {
		return err
	}
	defer device.Close()
	return device.Flush()
}

// probeToken returns "" where there is nothing to obtain one with.
func (d *Deployment) probeToken(ctx context.Context, c *Config, m Modes) (string, error) {
	switch {
	case m.Development:
		return d.developmentToken(ctx, "probe")
	case c.ProbeKeyFile != "":
		return devidp.Token(ctx, devidp.TokenRequest{Issuer: c.Issuer, Project: c.Project, KeyFile: string(c.ProbeKeyFile)})
	}
	return "", nil
}

func (d *Deployment) developmentToken(ctx context.Context, user string) (string, error) {
	return d.Engine.run(ctx, "exec", d.containerName("devidp"), "/devidp", "token", "-data", "/data", "-user", user)
}

// refusedAtOnce takes the whole way through callout and tokencheck: without them nothing is refused at once.
func (d *Deployment) refusedAtOnce(r *Rendered) error {
	started := time.Now()
	nc, err := d.dial(r, nats.Token("not-a-token"))
	if err == nil {
		nc.Close()
		return errors.New("a token that is none was let in")
	}
	if !errors.Is(err, nats.ErrAuthorization) {
		return err
	}
	if took := time.Since(started); took > atOnce {
		return fmt.Errorf("a wrong token was refused only after %v: nobody decided", took.Round(time.Millisecond))
	}
	return nil
}
