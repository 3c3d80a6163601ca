package bench

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
)

// writeServiceConfigs writes the three services' configuration files, with their defaults but for what must be named.
func (l *Lab) writeServiceConfigs(s *System, o Options) error {
	connection := fmt.Sprintf("nats:\n  urls: [\"nats://%s\"]\n  user: %s\n  password_file: %s\n", s.Addr, serviceUser, l.file("auth.password"))
	callout := connection + "account: DEVICES\nissuer_seed_file: " + l.file("issuer.nk") + "\n"
	if o.XKey {
		callout += "xkey_seed_file: " + l.file("callout.xk") + "\n"
	}
	if l.AuthTimeout > 0 {
		callout += fmt.Sprintf("client_patience: %ds\n", l.AuthTimeout)
	}
	if o.MaxBudget > 0 {
		callout += fmt.Sprintf("max_budget: %s\n", o.MaxBudget)
	}
	monitor := map[string]string{}
	if o.Profiles {
		s.monitors = map[string]string{}
		for _, service := range []string{"callout", "tokencheck", "policy"} {
			address, err := freeAddress()
			if err != nil {
				return err
			}
			s.monitors[service] = address
			monitor[service] = fmt.Sprintf("monitor: { listen: %q, profiles: true }\n", address)
		}
	}
	files := map[string]string{
		"callout.yaml": callout + monitor["callout"],
		"tokencheck.yaml": connection + monitor["tokencheck"] + fmt.Sprintf(`issuers:
  - issuer: %q
    audiences: [%q]
    algorithms: [RS256, ES256, EdDSA]
    roles_claim: "urn:zitadel:iam:org:project:%s:roles"
`, l.Provider.Issuer, Project, Project),
		"policy.yaml": connection + monitor["policy"] + "policy_file: " + s.file("rules.yaml") + "\n",
		"rules.yaml": `variables:
  device_id: { from: [device_id] }
rules:
  - name: device
    when: '"device" in roles'
    account: DEVICES
    publish:   { allow: ["device-state.{device_id}", "_INBOX.>"] }
    subscribe: { allow: ["device-commands.{device_id}", "_INBOX.>"] }
`,
	}
	for name, text := range files {
		if err := os.WriteFile(s.file(name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// calloutAnswered sums over the replicas what they answered without an error.
func calloutAnswered(nc *nats.Conn) (int64, error) {
	inbox := nc.NewRespInbox()
	sub, err := nc.SubscribeSync(inbox)
	if err != nil {
		return 0, err
	}
	if err := nc.PublishRequest("$SRV.STATS.callout", inbox, nil); err != nil {
		return 0, err
	}
	var total int64
	wait := maxPatience
	for {
		m, err := sub.NextMsg(wait)
		if err != nil {
			if wait == maxPatience {
				return 0, err
			}
			return total, nil
		}
		wait = statsGap
		var stats micro.Stats
		if err := json.Unmarshal(m.Data, &stats); err != nil {
			return 0, err
		}
		for _, e := range stats.Endpoints {
			total += int64(e.NumRequests - e.NumErrors)
		}
	}
}

func mainServer(ctx context.Context, args []string) error {
	f := flag.NewFlagSet("server", flag.ContinueOnError)
	file := f.String("config", "", "configuration of nats-server")
	if err := f.Parse(args); err != nil {
		return err
	}
	if *file == "" {
		return errNoConfig
	}
	return RunServer(ctx, *file)
}

func mainSmallest(ctx context.Context, args []string) error {
	f := flag.NewFlagSet("smallest", flag.ContinueOnError)
	url := f.String("url", "", "where to connect")
	issuer := f.String("issuer", "", "file with the issuer's seed")
	xkey := f.String("xkey", "", "file with the curve seed")
	perRequest := f.Bool("per-request", false, "a goroutine for each request")
	if err := f.Parse(args); err != nil {
		return err
	}
	return RunSmallest(ctx, *url, *issuer, *xkey, *perRequest)
}

// statsGap ends the collecting of replies to a question that every replica answers.
const statsGap = 500 * time.Millisecond
