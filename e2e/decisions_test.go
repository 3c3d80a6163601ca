package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"harmony.internal/authcallout/deploy/topology"
	"harmony.internal/authcallout/e2e/cluster"
	"harmony.internal/authcallout/shared/logx"
	"harmony.internal/authcallout/shared/oidctest"
	"harmony.internal/authcallout/shared/wire"
)

// TestDecisionsArePublished listens to the records and compares them with the log: the same fields, and no token.
func TestDecisionsArePublished(t *testing.T) {
	for _, shape := range cluster.Shapes() {
		t.Run(shape.Name, func(t *testing.T) {
			t.Parallel()
			c := cluster.Start(t, cluster.Options{Shape: shape})
			operator := c.Connect(t, c.Operator(t))
			records, err := operator.SubscribeSync("auth.v1.decision.*")
			if err != nil {
				t.Fatal(err)
			}
			if err := operator.Flush(); err != nil {
				t.Fatal(err)
			}
			good := c.Token(t, "sensor-a")
			c.Connect(t, nats.Token(good))
			stranger := c.Issuer.Mint(t, "RS256", c.Claims("sensor-c", oidctest.Claims{oidctest.RolesClaim: map[string]any{}}))
			if nc, err := c.Dial(nats.Token(stranger), nats.MaxReconnects(0)); err == nil {
				nc.Close()
				t.Error("a device without a role was let in")
			}
			for i, outcome := range []string{"admitted", "denied"} {
				m, err := records.NextMsg(cluster.Patience)
				if err != nil {
					t.Fatal(err)
				}
				if want := "auth.v1.decision." + outcome; m.Subject != want {
					t.Errorf("subject %s, want %s", m.Subject, want)
				}
				var record cluster.Record
				if err := json.Unmarshal(m.Data, &record); err != nil {
					t.Fatalf("%v: %s", err, m.Data)
				}
				logged := c.Records()[i]
				for _, own := range []string{"level", "msg"} {
					delete(logged, own)
				}
				if record.Text(logx.Time) == "" {
					t.Error("no time")
				}
				logged[logx.Time] = record[logx.Time] // written a moment apart
				if got, want := fmt.Sprint(record), fmt.Sprint(logged); got != want {
					t.Errorf("published %s\nlogged    %s", got, want)
				}
				for _, token := range []string{good, stranger} {
					for part := range strings.SplitSeq(token, ".") {
						if strings.Contains(string(m.Data), part) {
							t.Errorf("a part of the token is in %s", m.Data)
						}
					}
				}
			}
		})
	}
}

// TestDecisionStream keeps the records in the stream that is shipped, and then fills one that takes no more: logins go on.
func TestDecisionStream(t *testing.T) {
	t.Parallel()
	c := cluster.Start(t, cluster.Options{Shape: cluster.Sealed()})
	js, err := jetstream.New(c.Connect(t, c.Operator(t)))
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join("..", "deploy", "observability", "decisions-stream.json"))
	if err != nil {
		t.Fatal(err)
	}
	var shipped jetstream.StreamConfig
	if err := json.Unmarshal(text, &shipped); err != nil {
		t.Fatal(err)
	}
	if shipped.Name != topology.DecisionStream {
		t.Errorf("the stream is called %s, and the operator may work with %s", shipped.Name, topology.DecisionStream)
	}
	ctx, cancel := context.WithTimeout(t.Context(), cluster.Patience)
	defer cancel()
	shipped.MaxBytes = 1 << 20 // the test server has no gigabyte
	stream, err := js.CreateStream(ctx, shipped)
	if err != nil {
		t.Fatal(err)
	}
	login := func(n int) {
		t.Helper()
		for i := range n {
			nc, err := c.Dial(nats.Token(c.Token(t, fmt.Sprintf("sensor-%d", i))))
			if err != nil {
				t.Fatal(err)
			}
			nc.Close()
		}
	}
	login(3)
	cluster.Eventually(t, "three records are kept", func() bool {
		info, err := stream.Info(ctx)
		return err == nil && info.State.Msgs == 3
	})
	kept, err := stream.GetLastMsgForSubject(ctx, "auth.v1.decision.admitted")
	if err != nil || !strings.Contains(string(kept.Data), `"device":"sensor-2"`) {
		t.Errorf("the last record is %v", err)
	}
	consumer, err := stream.CreateOrUpdateConsumer(ctx, jetstream.ConsumerConfig{AckPolicy: jetstream.AckExplicitPolicy, FilterSubject: "auth.v1.decision.*"})
	if err != nil {
		t.Fatal(err)
	}
	batch, err := consumer.Fetch(3, jetstream.FetchMaxWait(cluster.Patience))
	if err != nil {
		t.Fatal(err)
	}
	read := 0
	for m := range batch.Messages() {
		read++
		if err := m.Ack(); err != nil {
			t.Error(err)
		}
	}
	if read != 3 {
		t.Errorf("read %d records", read)
	}

	if err := js.DeleteStream(ctx, shipped.Name); err != nil {
		t.Fatal(err)
	}
	full := shipped
	full.MaxMsgs, full.Discard, full.Duplicates = 1, jetstream.DiscardNew, time.Second
	if stream, err = js.CreateStream(ctx, full); err != nil {
		t.Fatal(err)
	}
	login(20)
	cluster.Eventually(t, "every record is published, kept or not", func() bool {
		return c.Replicas(wire.QueueCallout)[0].Scrape(t).Sum("authcallout_records_total", "result", "published") == 23
	})
	if info, err := stream.Info(ctx); err != nil || info.State.Msgs != 1 {
		t.Errorf("the full stream holds %+v, %v", info, err)
	}
	if dropped := c.Replicas(wire.QueueCallout)[0].Scrape(t).Sum("authcallout_records_total", "result", "dropped"); dropped != 0 {
		t.Errorf("%v records were dropped", dropped)
	}
}

// TestServersView has logins fail in every way, and wants nats-server's own account of them joined to the decisions of two
// replicas; one that no callout saw is counted too.
func TestServersView(t *testing.T) {
	t.Parallel()
	c := cluster.Start(t, cluster.Options{Shape: cluster.Sealed(), Replicas: 2})
	sum := func(server, decision string) float64 {
		total := 0.0
		for _, r := range c.Replicas(wire.QueueCallout) {
			total += r.Scrape(t).Sum("authcallout_auth_errors_total", "server", server, "decision", decision)
		}
		return total
	}
	for _, r := range c.Replicas(wire.QueueCallout) {
		cluster.Eventually(t, "the server's events are watched", func() bool { return r.Scrape(t).Sum("authcallout_auth_errors_watched") == 1 })
	}
	fail := func(token string) {
		t.Helper()
		if nc, err := c.Dial(nats.Token(token), nats.MaxReconnects(0), nats.Timeout(5*time.Second)); err == nil {
			nc.Close()
			t.Error("was let in")
		}
	}
	const each = 4
	for range each {
		fail("no.token.atall")
	}
	cluster.Eventually(t, "denials are joined", func() bool { return sum("refused", "denied") == each })

	for _, r := range c.Replicas(wire.QueuePolicy) {
		if err := r.Stop(); err != nil {
			t.Fatal(err)
		}
	}
	good := c.Token(t, "sensor-a")
	for range each {
		fail(good)
	}
	cluster.Eventually(t, "hang-ups are joined", func() bool { return sum("timeout", "hung_up") == each })

	operator := c.Connect(t, c.Operator(t))
	records, err := operator.SubscribeSync("auth.v1.decision.unanswered")
	if err != nil {
		t.Fatal(err)
	}
	// Somebody in the queue group takes a request and never answers.
	thief := c.Connect(t, c.Seed(t, wire.QueueCallout))
	for range 20 {
		if _, err := thief.QueueSubscribe(wire.SubjectUserAuth, wire.QueueCallout, func(*nats.Msg) {}); err != nil {
			t.Fatal(err)
		}
	}
	if err := thief.Flush(); err != nil {
		t.Fatal(err)
	}
	for sum("timeout", "none") == 0 {
		fail(good)
	}
	m, err := records.NextMsg(cluster.Patience)
	if err != nil || !strings.Contains(string(m.Data), `"outcome":"unanswered","detail":"timeout"`) {
		t.Errorf("%v", err)
	}
	if got := sum("refused", "none"); got != 0 {
		t.Errorf("%v refused without a decision", got)
	}
}
