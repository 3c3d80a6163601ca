package natsx_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/zap/zaptest"

	"harmony.internal/authcallout/shared/monitor"
	"harmony.internal/authcallout/shared/natstest"
	"harmony.internal/authcallout/shared/natsx"
	"harmony.internal/authcallout/shared/wire"
)

// metric is the only sample of a family of c's, a counter or a gauge.
func metric(t *testing.T, c *natsx.Conn, name string) float64 {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(natsx.Collector(c))
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name && len(f.GetMetric()) == 1 {
			m := f.GetMetric()[0]
			return m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	t.Fatalf("no single sample of %s", name)
	return 0
}

// What is counted stays when a service registers anew on the same connection.
func TestMetrics(t *testing.T) {
	s := natstest.Run(t, "")
	conn, asking := connect(t, s, "tokencheck"), connect(t, s, "callout")
	calls := caller(t, asking)
	for range 2 {
		srv := serve(t, conn, natsx.Endpoint{Handle: func(_ context.Context, r *natsx.Request) { _ = r.Respond(nil) }})
		for range 3 {
			if _, err := calls.Call(within(t, patience), natsx.Outgoing{Subject: "auth.v1.token.check", ID: "id"}); err != nil {
				t.Fatal(err)
			}
		}
		if err := srv.Drain(within(t, patience)); err != nil {
			t.Fatal(err)
		}
	}
	if err := testutil.CollectAndCompare(natsx.Collector(conn), strings.NewReader(`
# HELP authcallout_nats_connected 1 while the connection to NATS is up, else 0.
# TYPE authcallout_nats_connected gauge
authcallout_nats_connected{connection="tokencheck"} 1
# HELP authcallout_requests_total Requests that ended, by what became of them: handled, or given up before that because there were too many (overloaded) or their time would not have sufficed (out_of_time).
# TYPE authcallout_requests_total counter
authcallout_requests_total{endpoint="check",result="handled"} 6
authcallout_requests_total{endpoint="check",result="out_of_time"} 0
authcallout_requests_total{endpoint="check",result="overloaded"} 0
# HELP authcallout_requests_running Requests that are worked on.
# TYPE authcallout_requests_running gauge
authcallout_requests_running{endpoint="check"} 0
`), "authcallout_nats_connected", "authcallout_requests_total", "authcallout_requests_running"); err != nil {
		t.Error(err)
	}
	if err := testutil.CollectAndCompare(natsx.Collector(asking), strings.NewReader(`
# HELP authcallout_calls_total Requests to another service, further attempts not counted.
# TYPE authcallout_calls_total counter
authcallout_calls_total{neighbour="tokencheck"} 6
`), "authcallout_calls_total"); err != nil {
		t.Error(err)
	}
}

// TestDroppedStaysCounted: what was dropped unseen is counted, also when the subscription that dropped it has ended.
func TestDroppedStaysCounted(t *testing.T) {
	s := natstest.Run(t, "")
	conn, asking := connect(t, s, "tokencheck"), connect(t, s, "callout")
	srv := serve(t, conn, natsx.Endpoint{Handle: func(_ context.Context, r *natsx.Request) { _ = r.Respond(nil) }})
	if _, err := caller(t, asking).Call(within(t, patience), natsx.Outgoing{Subject: "auth.v1.token.check", ID: "id"}); err != nil {
		t.Fatal(err)
	}
	if err := srv.HoldAtMost("check", 1); err != nil {
		t.Fatal(err)
	}
	if err := asking.Publish("auth.v1.token.check", []byte("more than one byte")); err != nil {
		t.Fatal(err)
	}
	const dropped = `
# HELP authcallout_requests_dropped_total Requests that were dropped unseen because they arrived faster than they could be taken in.
# TYPE authcallout_requests_dropped_total counter
authcallout_requests_dropped_total{endpoint="check"} 1
`
	counted := func() error {
		return testutil.CollectAndCompare(natsx.Collector(conn), strings.NewReader(dropped), "authcallout_requests_dropped_total")
	}
	natstest.Eventually(t, "the request is dropped and counted", func() bool { return counted() == nil })
	if err := srv.Drain(within(t, patience)); err != nil {
		t.Fatal(err)
	}
	if err := counted(); err != nil {
		t.Errorf("after the drain: %v", err)
	}
}

// Every replica answers whether it is ready; with the connection gone it is not.
func TestReadyEndpoint(t *testing.T) {
	s := natstest.Run(t, "")
	subjects, err := wire.NewSubjects("")
	if err != nil {
		t.Fatal(err)
	}
	var watched []*monitor.Monitor
	var conns []*natsx.Conn
	for range 2 {
		conn := connect(t, s, "policy")
		m, err := monitor.New(monitor.About{Service: "policy", Version: "1.2.3"}, zaptest.NewLogger(t), conn.Checks(), natsx.Collector(conn))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := natsx.Serve(conn, natsx.Service{Name: "policy", Version: "1.2.3", Endpoints: []natsx.Endpoint{
			natsx.ReadyEndpoint(subjects, "policy", m),
		}}, zaptest.NewLogger(t)); err != nil {
			t.Fatal(err)
		}
		watched, conns = append(watched, m), append(conns, conn)
	}
	nc := natstest.Connect(t, s)
	replies, err := nc.SubscribeSync(nats.NewInbox())
	if err != nil {
		t.Fatal(err)
	}
	if err := nc.PublishRequest("auth.v1.ready.policy", replies.Subject, nil); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		m, err := replies.NextMsg(patience)
		if err != nil {
			t.Fatal(err)
		}
		var state monitor.Readiness
		if err := json.Unmarshal(m.Data, &state); err != nil || !state.Ready || state.Service != "policy" {
			t.Errorf("%s %v", m.Data, err)
		}
	}
	conns[0].Close()
	natstest.Eventually(t, "not ready without a connection", func() bool {
		return strings.Contains(watched[0].Ready().String(), "nats: the connection closed for good")
	})
}
