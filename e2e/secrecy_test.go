package e2e_test

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"harmony.internal/authcallout/e2e/cluster"
	"harmony.internal/authcallout/shared/oidctest"
	"harmony.internal/authcallout/shared/trace"
	"harmony.internal/authcallout/shared/wire"
)

// TestTokensStaySecret presents tokens, good, bad and opaque, in every place that a client may put them, to a provider that is
// well, gives them back in its errors, and is down. Nothing that the services say holds a part of one: their logs at level
// debug, decisions, spans, metrics, and what micro tells of them.
func TestTokensStaySecret(t *testing.T) {
	t.Parallel()
	for _, shape := range cluster.Shapes() {
		t.Run(shape.Name, func(t *testing.T) {
			t.Parallel()
			secret := filepath.Join(t.TempDir(), "secret")
			if err := os.WriteFile(secret, []byte("introspection-secret"), 0o600); err != nil {
				t.Fatal(err)
			}
			issuer := oidctest.New(t)
			issuer.AddClient("tokencheck", "introspection-secret")
			mqttAddress, wsAddress := cluster.FreeAddress(t), cluster.FreeAddress(t)
			spans := tracetest.NewInMemoryExporter()
			c := cluster.Start(t, cluster.Options{
				Shape: shape, Issuer: issuer,
				Issuers: fmt.Sprintf("  - { issuer: %q, audiences: [%q], algorithms: [RS256], profile: zitadel, roles_claim: %q, introspect: always,\n"+
					"      introspection: { client_id: tokencheck, client_secret_file: %q, cache_ttl: 0s, inactive_ttl: 0s } }\n", issuer.URL, oidctest.Project, oidctest.RolesClaim, secret),
				Server: fmt.Sprintf("max_control_line: 65536\nmqtt { listen: %q }\nwebsocket { listen: %q, no_tls: true, token_cookie: device_token }\n", mqttAddress, wsAddress),
				Trace: func(service string) *trace.Tracer {
					tracer, err := trace.New(trace.About{Service: service, Version: "0.0.1"}, sdk.NewSimpleSpanProcessor(spans))
					if err != nil {
						t.Fatal(err)
					}
					return tracer
				},
			})
			operator := c.Connect(t, c.Operator(t))
			published, err := operator.SubscribeSync("auth.v1.decision.*")
			if err != nil {
				t.Fatal(err)
			}
			if err := operator.FlushTimeout(cluster.Patience); err != nil {
				t.Fatal(err)
			}

			good := c.Token(t, "sensor-a")
			opaque := issuer.Opaque(c.Claims("sensor-a", nil))
			stranger := c.Issuer.Mint(t, "RS256", c.Claims("sensor-c", oidctest.Claims{oidctest.RolesClaim: nil, "device_id": nil}))
			revoked := c.Token(t, "sensor-r")
			issuer.Revoke(revoked)
			tokens := []string{
				good, opaque, stranger, revoked, "unknown-opaque-token-of-nobody", good[:len(good)-8] + "AAAAAAAA", good + "\n", "Bearer " + good, "{" + good + "}",
				issuer.Mint(t, "RS256", c.Claims("sensor-a", oidctest.Claims{"exp": 1})), oidctest.New(t).Token(t, "sensor-a"),
				strings.Repeat("a-long-opaque-token.", 1000),
			}
			for _, token := range tokens {
				login(t, c, "a client", map[string]string{"auth_token": token})
				login(t, c, "a client", map[string]string{"user": token, "pass": token})
				login(t, c, "a client", map[string]string{"user": "name-" + token + "-", "pass": token, "auth_token": token})
				login(t, c, "a client", map[string]string{"user": token})
				login(t, c, "a client", map[string]string{"auth_token": token, "user": "x", "pass": "x" + token})
			}
			for _, name := range []string{good, opaque, "of " + opaque} {
				login(t, c, name, map[string]string{"auth_token": strings.TrimPrefix(name, "of ")})
			}
			for _, token := range []string{good, opaque} {
				if _, err := mqttConnectAs(t, mqttAddress, token, token, token); err == nil {
					t.Error("a device with its token as client id was let in")
				}
				for _, option := range []nats.Option{nats.Token(token), nats.WebSocketConnectionHeaders(http.Header{"Cookie": {"device_token=" + token}})} {
					nc, err := nats.Connect("ws://"+wsAddress, option, nats.Timeout(cluster.Patience), nats.MaxReconnects(0))
					if err != nil {
						t.Fatal(err)
					}
					nc.Close()
				}
			}
			for i, trouble := range []http.HandlerFunc{
				func(w http.ResponseWriter, r *http.Request) { // what it was sent, as an error
					body, _ := io.ReadAll(r.Body) // the test looks at what becomes of it
					w.WriteHeader(http.StatusBadRequest)
					_, _ = w.Write(body)
				},
				func(w http.ResponseWriter, r *http.Request) { // as an answer that is none
					body, _ := io.ReadAll(r.Body)
					w.Header().Set("Content-Type", "application/json")
					_, _ = fmt.Fprintf(w, `{"active":%q,%q:1}`, body, r.PostFormValue("token"))
				},
				func(w http.ResponseWriter, r *http.Request) { // as a place to go to
					http.Redirect(w, r, "http://elsewhere.example.com/?token="+r.FormValue("token"), http.StatusTemporaryRedirect)
				},
				func(w http.ResponseWriter, r *http.Request) { // as another issuer's
					w.Header().Set("Content-Type", "application/json")
					_, _ = fmt.Fprintf(w, `{"active":true,"iss":%q,"sub":%q,"exp":"%s"}`, r.FormValue("token"), r.FormValue("token"), r.FormValue("token"))
				},
			} {
				issuer.Handle(trouble)
				for j, token := range []string{good, opaque} {
					name := fmt.Sprint("trouble-", i, "-", j)
					conn, _ := dialRaw(t, c)
					send(t, conn, name, map[string]string{"auth_token": token})
					c.Decided(t, name)
				}
			}
			issuer.Heal()
			c.Connect(t, nats.Token(c.Token(t, "sensor-b")), nats.Name("last"))
			c.Decided(t, "last")

			said := map[string]string{}
			for _, service := range cluster.Services() {
				for _, r := range c.Replicas(service) {
					said["the log of "+service] = r.Log().String()
					_, said["the metrics of "+service] = r.Get(t, "/metrics")
					_, said["the readiness of "+service] = r.Get(t, "/readyz")
				}
				for _, verb := range []string{"INFO", "STATS"} {
					m, err := operator.Request("$SRV."+verb+"."+service, nil, cluster.Patience)
					if err != nil {
						t.Fatal(err)
					}
					said[verb+" of "+service] = string(m.Data)
				}
			}
			for !strings.Contains(said["the published decisions"], `"client_name":"last"`) {
				m, err := published.NextMsg(cluster.Patience)
				if err != nil {
					t.Fatal(err)
				}
				said["the published decisions"] += m.Subject + string(m.Data)
			}
			said["the spans"] = fmt.Sprintf("%+v", spans.GetSpans())
			parts := map[string]bool{"introspection-secret": true}
			for _, token := range tokens {
				for part := range strings.SplitSeq(strings.Trim(token, "{}\n"), ".") {
					parts[part] = true
				}
			}
			delete(parts, "")
			for what, text := range said {
				for part := range parts {
					if i := strings.Index(text, part); i >= 0 {
						t.Errorf("%.12s..., a part of a token, is in %s: %.300s", part, what, text[max(0, i-200):])
					}
				}
			}
			for _, r := range c.Replicas(wire.QueueTokencheck) {
				if n := r.Scrape(t).Sum("authcallout_introspections_total"); n == 0 {
					t.Error("the provider was not asked")
				}
			}
		})
	}
}
