package deployment

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"harmony.internal/authcallout/deploy/topology"
)

// attempt is one way in, and whether it must work.
type attempt struct {
	name string
	in   bool
	try  func() error
}

// BypassCheck proves against the running server that nobody gets in without a valid token by any route that is
// configured, and that those who must get in whatever happens do. It prints a line for each and fails if any is wrong.
func (d *Deployment) BypassCheck(ctx context.Context, c *Config) error {
	m, err := d.State.Remembered()
	if err != nil {
		return err
	}
	listen, err := listenAddresses(c.Listen, len(m.servers()))
	if err != nil {
		return err
	}
	r := &Rendered{Listen: listen}
	if r.Certificate, err = c.TLS.certificate(); err != nil {
		return err
	}
	if err := d.onlyClientPorts(ctx, m); err != nil {
		return err
	}
	attempts, err := d.attempts(c, r)
	if err != nil {
		return err
	}
	wrong := 0
	for _, a := range attempts {
		err := a.try()
		verdict := "ok"
		if (err == nil) != a.in {
			verdict, wrong = "WRONG", wrong+1
		}
		outcome := "gets in"
		if err != nil {
			outcome = "is refused: " + err.Error()
		}
		say(d.Out, "%-6s %-52s %s", verdict, a.name, outcome)
	}
	if wrong > 0 {
		return fmt.Errorf("%d of %d ways in are not as they must be", wrong, len(attempts))
	}
	say(d.Out, "all %d ways in are as they must be", len(attempts))
	return nil
}

func (d *Deployment) attempts(c *Config, r *Rendered) ([]attempt, error) {
	stranger, err := nkeys.CreateUser()
	if err != nil {
		return nil, err
	}
	strangerKey, err := stranger.PublicKey()
	if err != nil {
		return nil, err
	}
	identities, _, err := topology.Ensure(d.State.Files())
	if err != nil {
		return nil, err
	}
	as := func(options ...nats.Option) func() error {
		return func() error {
			nc, err := d.dial(r, options...)
			if err != nil {
				return err
			}
			defer nc.Close()
			return nc.FlushTimeout(connectTimeout)
		}
	}
	answered := func(seedFile, subject string) func() error {
		return func() error {
			nc, err := d.dialSeed(r, seedFile)
			if err != nil {
				return err
			}
			defer nc.Close()
			_, err = nc.Request(subject, nil, 5*time.Second)
			return err
		}
	}
	files := d.State.Files()
	return []attempt{
		{"no credentials", false, as()},
		{"an empty token", false, as(nats.Token(""))},
		{"a token that is none", false, as(nats.Token("not-a-token"))},
		{"an unsigned token with the right issuer and audience", false, as(nats.Token(forged(c, "none", "")))},
		{"a token signed by nobody the issuer knows", false, as(nats.Token(forged(c, "RS256", "c2lnbmF0dXJl")))},
		{"user platform without its password", false, as(nats.UserInfo(topology.PlatformUser, ""))},
		{"user platform with another password", false, as(nats.UserInfo(topology.PlatformUser, "platform"))},
		{"user auth with the password auth", false, as(nats.UserInfo("auth", "auth"))},
		{"an nkey that nobody knows", false, as(nats.Nkey(strangerKey, stranger.Sign))},
		{"a service's nkey without its seed", false, as(nats.Nkey(identities.Callout[0], stranger.Sign))},
		{"the administrator's nkey without its seed", false, as(nats.Nkey(identities.Admin[0], stranger.Sign))},
		{"the platform with its password", true, func() error {
			nc, err := d.dialPlatform(r)
			if err == nil {
				nc.Close()
			}
			return err
		}},
		{"the operator, who sees the services", true, answered(files.Operator, "$SRV.PING.callout")},
		{"the administrator, who needs no callout", true, answered(files.Admin, "$SYS.REQ.SERVER.PING")},
	}, nil
}

// forged is a token that everything is right with but the signature.
func forged(c *Config, algorithm, signature string) string {
	encode := func(v any) string {
		raw, _ := json.Marshal(v) //nolint:errchkjson // maps of plain values
		return base64.RawURLEncoding.EncodeToString(raw)
	}
	now := time.Now()
	claims := map[string]any{
		"iss": c.Issuer, "aud": []string{c.Project}, "sub": "1", "jti": "1", "client_id": "intruder",
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(time.Hour).Unix(),
		"urn:zitadel:iam:org:project:" + c.Project + ":roles": map[string]any{c.Role: map[string]any{"1": "x"}},
	}
	return encode(map[string]any{"alg": algorithm, "typ": "JWT", "kid": "1"}) + "." + encode(claims) + "." + signature
}

// onlyClientPorts looks for a route in that the attempts would not try: a published port that is not the clients' one.
func (d *Deployment) onlyClientPorts(ctx context.Context, m Modes) error {
	var failed error
	for _, service := range m.services() {
		ports, err := d.Engine.run(ctx, "port", d.containerName(service))
		if err != nil {
			return err
		}
		for _, line := range strings.FieldsFunc(ports, func(r rune) bool { return r == '\n' }) {
			inside, _, _ := strings.Cut(line, " ")
			if !slices.Contains(m.servers(), service) || inside != "4222/tcp" {
				failed = errors.Join(failed, fmt.Errorf("%s publishes %s: a way in that this check does not know", d.containerName(service), line))
			}
		}
	}
	return failed
}
