package deployment

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"harmony.internal/authcallout/deploy/topology"
	"harmony.internal/authcallout/services/policy/rules"
	service "harmony.internal/authcallout/services/tokencheck"
	"harmony.internal/authcallout/shared/config"
	"harmony.internal/authcallout/shared/wire"
)

// Check says whether the provider in deployment.yaml would work, and a device's token if one is given, before any device
// tries. It asks the provider alone: nothing needs to run, and the rules are those of the state directory where they are
// already there. token is a JWT, "" for none; it is sent nowhere and printed nowhere.
func (d *Deployment) Check(ctx context.Context, c *Config, token string) error {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	dir, err := os.MkdirTemp("", "authcallout-check-") // 0700
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }() // it holds keys of nothing
	cfg, p, err := d.dryRun(State(dir), c)
	if err != nil {
		return err
	}
	say(d.Out, "ok     %-10s servers and callouts wait %[2]s for a login: give clients a connect timeout of %[2]s (nats.Timeout), or change client_patience in deployment.yaml",
		"times", c.ClientPatience)
	trial, err := service.NewTrial(ctx, cfg)
	if err != nil {
		say(d.Out, "WRONG  %-10s %v", "issuer", err)
		return errors.New("the services could not have the provider's keys: is issuer in deployment.yaml exactly what its /.well-known/openid-configuration says, and can this host reach it?")
	}
	say(d.Out, "ok     %-10s %s", "issuer", c.Issuer)
	keys := trial.Issuers()[c.Issuer]
	say(d.Out, "ok     %-10s %d usable, %d not: %s", "keys", len(keys.Keys), keys.KeysSkipped, strings.Join(keys.Keys, " "))
	if token == "" {
		say(d.Out, "-      %-10s none given: make check TOKEN_FILE=token.jwt", "token")
		return nil
	}
	verified, err := d.showJudged(trial.Explain(ctx, token), c, token)
	if err != nil {
		return err
	}
	return d.showDecided(p.Explain(decideRequest(verified), rules.Context{Now: time.Now()}), c)
}

const checkTimeout = 30 * time.Second

// dryRun renders the deployment into a directory that is thrown away, so that what is checked is what would run.
func (d *Deployment) dryRun(s State, c *Config) (*service.Config, *rules.Policy, error) {
	if _, err := s.render(c, Modes{}, topology.Identities{}); err != nil {
		return nil, nil, err
	}
	cfg := &service.Config{}
	if _, err := config.Load(s.in(tokencheck, tokencheck+".yaml"), cfg); err != nil {
		return nil, nil, err
	}
	file := d.State.in(policy, rulesFile)
	if _, err := os.Stat(file); err != nil {
		file = s.in(policy, rulesFile)
	}
	text, err := os.ReadFile(file) //nolint:gosec // the operator's own
	if err != nil {
		return nil, nil, err
	}
	p, _, err := rules.Compile(file, text)
	return cfg, p, err
}

// showJudged prints how a token was judged, and returns what it became or advice.
func (d *Deployment) showJudged(e *service.Explanation, c *Config, token string) (*wire.Verified, error) {
	if e.Error != nil {
		for _, check := range e.Checks {
			if check.Problem != "" {
				say(d.Out, "       check %s %s", check.Check, check.Result)
			}
		}
		say(d.Out, "WRONG  %-10s %v", "token", e.Error)
		return nil, adviceAbout(e.Error, c, token)
	}
	v := e.Verified
	say(d.Out, "ok     %-10s of %s, signed by key %s, ends %s", "token", v.Issuer, v.KeyID, time.Unix(v.ExpiresAt, 0).UTC().Format(time.RFC3339))
	say(d.Out, "ok     %-10s %s", "roles", orNone(strings.Join(v.Roles, " ")))
	return v, nil
}

// showDecided prints how the rules decide.
func (d *Deployment) showDecided(e *rules.Explanation, c *Config) error {
	if e.Error != nil {
		for _, r := range e.Rules {
			say(d.Out, "       rule %s: %s; it asks for %s", r.Name, r.Result, r.When)
		}
		for _, x := range e.Variables {
			if x.Problem != "" {
				say(d.Out, "       variable %s: %s", x.Name, x.Problem)
			}
		}
		say(d.Out, "WRONG  %-10s %v", "rules", e.Error)
		return adviceAbout(e.Error, c, "")
	}
	g := e.Grant
	say(d.Out, "ok     %-10s rule %s admits it as device %q", "rules", g.Rule, g.Device)
	say(d.Out, "       it may publish      %s", orNone(strings.Join(g.Publish.Allow, " ")))
	say(d.Out, "       it may subscribe to %s", orNone(strings.Join(g.Subscribe.Allow, " ")))
	return nil
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

// adviceAbout says what to do about a refusal that a first token most often meets.
func adviceAbout(fail *wire.Error, c *Config, token string) error {
	said := claimsUnverified(token)
	var advice string
	switch fail.Code {
	case wire.IssuerUnknown:
		advice = fmt.Sprintf("the token says iss %s; issuer in deployment.yaml must be that to the letter", said.text("iss"))
	case wire.AudienceMismatch:
		advice = fmt.Sprintf("the token is for %s; ask for it with the scope urn:zitadel:iam:org:project:id:%s:aud, or correct project in deployment.yaml",
			said.text("aud"), c.Project)
	case wire.NoMatchingRule:
		advice = fmt.Sprintf("give the service user the role %s in project %s, and ask for the token with the scope urn:zitadel:iam:org:projects:roles", c.Role, c.Project)
	case wire.VariableUnresolved, wire.VariableInvalid:
		advice = fmt.Sprintf("the device's id comes from the claims %s: see device_id in deployment.yaml and in %s", strings.Join(c.DeviceID, ", "), rulesFile)
	case wire.TokenExpired:
		advice = "obtain a new token"
	case wire.TokenOpaque, wire.TokenMalformed:
		advice = "set the service user's access token type to JWT in the console, and see that the file holds the token alone"
	case wire.TokenWrongKind:
		advice = "send the access token, not the ID token"
	default:
		advice = "docs/codes.md explains the reason"
	}
	return errors.New("a device with this token would be refused: " + advice)
}

// claims are a token's, believed by nobody.
type claims map[string]any

// claimsUnverified reads what a refused token says about itself.
func claimsUnverified(token string) claims {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return nil
	}
	var c claims
	if json.Unmarshal(raw, &c) != nil {
		return nil
	}
	return c
}

const maxClaimText = 200

func (c claims) text(name string) string {
	raw, err := json.Marshal(c[name]) // quotes what a terminal would act on
	if err != nil || len(raw) > maxClaimText {
		return "something else"
	}
	return string(raw)
}

// ReadToken reads the token in a file, - for standard input.
func ReadToken(file string, stdin io.Reader) (string, error) {
	if file == "" {
		return "", errors.New("name the file that it is in: TOKEN_FILE=token.jwt")
	}
	in := stdin
	if file != "-" {
		f, err := os.Open(file) //nolint:gosec // the operator names it
		if err != nil {
			return "", err
		}
		defer func() { _ = f.Close() }() // read only
		in = f
	}
	raw, err := io.ReadAll(io.LimitReader(in, 4*wire.MaxTokenBytes))
	if err != nil {
		return "", err
	}
	token := strings.TrimSpace(string(raw))
	if token == "" {
		return "", fmt.Errorf("%s is empty: put the access token in it, and nothing else", file)
	}
	return token, nil
}
