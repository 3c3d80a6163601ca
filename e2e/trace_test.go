package e2e_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/codes"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	api "go.opentelemetry.io/otel/trace"

	"harmony.internal/authcallout/e2e/cluster"
	"harmony.internal/authcallout/shared/logx"
	"harmony.internal/authcallout/shared/oidctest"
	"harmony.internal/authcallout/shared/trace"
	"harmony.internal/authcallout/shared/wire"
)

// TestTrace has one login admitted and one denied, and wants one trace of each across the three services, without the token.
func TestTrace(t *testing.T) {
	for _, shape := range cluster.Shapes() {
		t.Run(shape.Name, func(t *testing.T) {
			t.Parallel()
			exporter := tracetest.NewInMemoryExporter()
			c := cluster.Start(t, cluster.Options{Shape: shape, Trace: func(service string) *trace.Tracer {
				tracer, err := trace.New(trace.About{Service: service, Version: "0.0.1"}, sdk.NewSimpleSpanProcessor(exporter))
				if err != nil {
					t.Fatal(err)
				}
				return tracer
			}})
			good := c.Token(t, "sensor-a")
			c.Connect(t, nats.Token(good))
			stranger := c.Issuer.Mint(t, "RS256", c.Claims("sensor-c", oidctest.Claims{oidctest.RolesClaim: map[string]any{}}))
			if nc, err := c.Dial(nats.Token(stranger), nats.MaxReconnects(0)); err == nil {
				nc.Close()
				t.Error("a device without a role was let in")
			}
			logins := map[string]map[string]tracetest.SpanStub{} // by outcome, by name
			cluster.Eventually(t, "both traces are whole", func() bool {
				byTrace := map[api.TraceID]map[string]tracetest.SpanStub{}
				for _, s := range exporter.GetSpans() {
					id := s.SpanContext.TraceID()
					if byTrace[id] == nil {
						byTrace[id] = map[string]tracetest.SpanStub{}
					}
					byTrace[id][s.Name] = s
				}
				for _, spans := range byTrace {
					if outcome := attribute(spans["callout auth"], logx.Outcome); outcome != "" {
						logins[outcome] = spans
					}
				}
				return len(byTrace) == 2 && len(logins["admitted"]) == 6 && len(logins["denied"]) == 5
			})
			parents := map[string]string{
				"open": "callout auth", "call tokencheck": "callout auth", "tokencheck check": "call tokencheck",
				"policy decide": "tokencheck check", "mint": "callout auth",
			}
			for outcome, spans := range logins {
				root := spans["callout auth"]
				if root.Parent.IsValid() || root.SpanKind != api.SpanKindServer {
					t.Errorf("%s: the login is no root: %+v", outcome, root.Parent)
				}
				for name, s := range spans {
					if parent, ok := parents[name]; ok && s.Parent.SpanID() != spans[parent].SpanContext.SpanID() {
						t.Errorf("%s: %s is no child of %s", outcome, name, parent)
					}
					if s.StartTime.Before(root.StartTime.Add(-1)) && name != "open" {
						t.Errorf("%s: %s began before the login", outcome, name)
					}
				}
			}
			root, denied := logins["admitted"]["callout auth"], logins["denied"]
			if attribute(root, logx.Device) != "sensor-a" || attribute(root, logx.Rule) != "device" || attribute(root, logx.RequestID) == "" {
				t.Errorf("attributes of the login: %v", root.Attributes)
			}
			if name, _ := logins["admitted"]["policy decide"].Resource.Set().Value("service.name"); name.AsString() != "authcallout-policy" {
				t.Errorf("policy's service.name: %s", name.AsString())
			}
			if s := denied["policy decide"]; s.Status.Code != codes.Error || s.Status.Description != wire.NoMatchingRule.String() {
				t.Errorf("policy's status: %+v", s.Status)
			}
			if got := attribute(denied["callout auth"], logx.Reason); got != wire.NoMatchingRule.String() {
				t.Errorf("the login's reason: %s", got)
			}
			for _, s := range exporter.GetSpans() {
				for _, a := range s.Attributes {
					for _, token := range []string{good, stranger} {
						for part := range strings.SplitSeq(token, ".") {
							if strings.Contains(a.Value.AsString(), part) {
								t.Errorf("%s: a part of the token is in %s", s.Name, a.Key)
							}
						}
					}
				}
			}
		})
	}
}

func attribute(s tracetest.SpanStub, name string) string {
	for _, a := range s.Attributes {
		if string(a.Key) == trace.Prefix+name {
			return a.Value.AsString()
		}
	}
	return ""
}

// TestTraceOfProcesses sets the standard variables and nothing else, and wants a collector to be sent the spans of all three.
func TestTraceOfProcesses(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var sent strings.Builder
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body) // a short one is missed below
		mu.Lock()
		defer mu.Unlock()
		sent.WriteString(r.URL.Path)
		sent.Write(body)
	}))
	t.Cleanup(collector.Close)
	c := cluster.Start(t, cluster.Options{Shape: cluster.Sealed(), Processes: true, Environment: []string{
		"OTEL_EXPORTER_OTLP_ENDPOINT=" + collector.URL, "OTEL_BSP_SCHEDULE_DELAY=50",
	}})
	c.Connect(t, nats.Token(c.Token(t, "sensor-a")))
	for _, want := range []string{"/v1/traces", "authcallout-callout", "authcallout-tokencheck", "authcallout-policy", "callout auth", "tokencheck check", "policy decide"} {
		cluster.Eventually(t, want+" was sent", func() bool {
			mu.Lock()
			defer mu.Unlock()
			return strings.Contains(sent.String(), want)
		})
	}
}
