package rules_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"harmony.internal/authcallout/services/policy/rules"
	"harmony.internal/authcallout/shared/natstest"
)

// macros is a rules file with every macro.
const macros = `
variables: { device_id: { from: [sub] } }
rules:
  - name: device
    when: 'true'
    inbox: private
    kv:
      - { bucket: config, keys: ["{device_id}.>"], access: [read, watch] }
      - { bucket: state, keys: ["{device_id}"], access: [read, write] }
    streams: [ { publish: ["telemetry.{device_id}"] } ]
    consumers: [ { stream: JOBS, name: "dev-{device_id}" } ]
    object_stores: [ { bucket: "fw-{device_id}", access: [read] }, { bucket: "up-{device_id}", access: [read, write] } ]
`

// withDevices runs a JetStream server whose users a and b hold exactly the permissions that the rules grant them; the
// user platform may do everything.
func withDevices(t *testing.T) *server.Server {
	t.Helper()
	p := mustCompile(t, macros)
	users := `{user: platform, password: platform}`
	for _, id := range []string{"a", "b"} {
		g, fail := p.Decide(request(`{"sub":"`+id+`"}`), rules.Context{})
		if fail != nil {
			t.Fatal(fail)
		}
		users += fmt.Sprintf("\n{user: %s, password: %s, permissions: {publish: {allow: [%s]}, subscribe: {allow: [%s]}}}", id, id, quoted(g.Publish.Allow), quoted(g.Subscribe.Allow))
	}
	return natstest.Run(t, fmt.Sprintf("jetstream: {store_dir: %q}\naccounts: {D: {jetstream: enabled, users: [%s]}}", t.TempDir(), users))
}

func quoted(subjects []string) string { return `"` + strings.Join(subjects, `", "`) + `"` }

// violations collects what the server refused to a connection.
type violations struct {
	mu     sync.Mutex
	all    []string
	cancel func() // called at the next one
}

func (v *violations) add(err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if errors.Is(err, nats.ErrPermissionViolation) {
		v.all = append(v.all, err.Error())
		v.cancel()
	}
}

// watch starts to count again and calls cancel at each violation.
func (v *violations) watch(cancel func()) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.all, v.cancel = nil, cancel
}

func (v *violations) list() []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.all
}

func device(t *testing.T, s *server.Server, id string) (jetstream.JetStream, *nats.Conn, *violations) {
	t.Helper()
	v := &violations{cancel: func() {}}
	nc, err := nats.Connect(s.ClientURL(), nats.UserInfo(id, id), nats.CustomInboxPrefix("_INBOX_"+id),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { v.add(err) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return js, nc, v
}

func must[T any](t *testing.T) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// TestMacrosOnJetStream: what each macro promises works with the client library, and the same on a neighbour's does not.
func TestMacrosOnJetStream(t *testing.T) {
	s := withDevices(t)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	platform, _, _ := device(t, s, "platform")
	setUp(ctx, t, platform)
	js, nc, seen := device(t, s, "a")

	// refused says that do fails because the server refuses a subject, and nothing else.
	refused := func(what string, do func(ctx context.Context) error) {
		t.Helper()
		ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
		defer cancel()
		seen.watch(cancel)
		err := do(ctx)
		natstest.Eventually(t, what+" is refused", func() bool { return len(seen.list()) > 0 })
		if err == nil {
			t.Errorf("%s succeeded", what)
		}
	}

	t.Run("kv read and watch", func(t *testing.T) {
		kv := must[jetstream.KeyValue](t)(js.KeyValue(ctx, "config"))
		if e := must[jetstream.KeyValueEntry](t)(kv.Get(ctx, "a.mode")); string(e.Value()) != "fast" {
			t.Errorf("got %s", e.Value())
		}
		w := must[jetstream.KeyWatcher](t)(kv.Watch(ctx, "a.>"))
		if e := <-w.Updates(); e == nil || e.Key() != "a.mode" {
			t.Errorf("watched %v", e)
		}
		pkv := must[jetstream.KeyValue](t)(platform.KeyValue(ctx, "config"))
		must[uint64](t)(pkv.PutString(ctx, "a.mode", "slow"))
		for e := range w.Updates() {
			if e != nil && string(e.Value()) == "slow" {
				break
			}
		}
		refused("reading b's key", func(ctx context.Context) error { _, err := kv.Get(ctx, "b.mode"); return err })
		refused("writing", func(ctx context.Context) error { _, err := kv.PutString(ctx, "a.mode", "x"); return err })
		refused("watching b's keys", func(ctx context.Context) error { _, err := kv.Watch(ctx, "b.>"); return err })
		refused("watching all keys", func(ctx context.Context) error { _, err := kv.WatchAll(ctx); return err })
	})
	t.Run("kv write", func(t *testing.T) {
		kv := must[jetstream.KeyValue](t)(js.KeyValue(ctx, "state"))
		revision := must[uint64](t)(kv.Create(ctx, "a", []byte("1")))
		must[uint64](t)(kv.Update(ctx, "a", []byte("2"), revision))
		if e := must[jetstream.KeyValueEntry](t)(kv.Get(ctx, "a")); string(e.Value()) != "2" {
			t.Errorf("got %s", e.Value())
		}
		refused("writing b's key", func(ctx context.Context) error { _, err := kv.PutString(ctx, "b", "x"); return err })
		refused("deleting b's key", func(ctx context.Context) error { return kv.Delete(ctx, "b") })
	})
	t.Run("stream", func(t *testing.T) {
		if ack := must[*jetstream.PubAck](t)(js.Publish(ctx, "telemetry.a", []byte("1"))); ack.Stream != "TELEMETRY" {
			t.Errorf("acknowledged by %s", ack.Stream)
		}
		refused("publishing as b", func(ctx context.Context) error {
			_, err := js.Publish(ctx, "telemetry.b", []byte("1"), jetstream.WithRetryAttempts(0))
			return err
		})
	})
	t.Run("consumer", func(t *testing.T) {
		must[*jetstream.PubAck](t)(platform.Publish(ctx, "jobs.a", []byte("job")))
		c := must[jetstream.Consumer](t)(js.Consumer(ctx, "JOBS", "dev-a"))
		m := must[jetstream.Msg](t)(c.Next(jetstream.FetchMaxWait(20 * time.Second)))
		if err := m.DoubleAck(ctx); err != nil {
			t.Error(err)
		}
		refused("b's consumer", func(ctx context.Context) error { _, err := js.Consumer(ctx, "JOBS", "dev-b"); return err })
		refused("making a consumer", func(ctx context.Context) error {
			_, err := js.CreateOrUpdateConsumer(ctx, "JOBS", jetstream.ConsumerConfig{Durable: "dev-x"})
			return err
		})
		refused("deleting its consumer", func(ctx context.Context) error { return js.DeleteConsumer(ctx, "JOBS", "dev-a") })
	})
	t.Run("object store", func(t *testing.T) {
		fw := must[jetstream.ObjectStore](t)(js.ObjectStore(ctx, "fw-a"))
		if got := must[string](t)(fw.GetString(ctx, "image")); got != "firmware" {
			t.Errorf("got %q", got)
		}
		up := must[jetstream.ObjectStore](t)(js.ObjectStore(ctx, "up-a"))
		must[*jetstream.ObjectInfo](t)(up.PutString(ctx, "log", "one"))
		must[*jetstream.ObjectInfo](t)(up.PutString(ctx, "log", "two"))
		if got := must[string](t)(up.GetString(ctx, "log")); got != "two" {
			t.Errorf("got %q", got)
		}
		// Large enough for JetStream to wait for flow control, which the client answers on a subject of its own.
		large := bytes.Repeat([]byte("0123456789abcdef"), 1<<20)
		seen.watch(func() {})
		must[*jetstream.ObjectInfo](t)(up.PutBytes(ctx, "large", large))
		if got := must[[]byte](t)(up.GetBytes(ctx, "large")); !bytes.Equal(got, large) {
			t.Errorf("%d bytes came back", len(got))
		}
		if refused := seen.list(); len(refused) > 0 {
			t.Errorf("the server refused a part of it: %v", refused)
		}
		refused("writing a store that may be read", func(ctx context.Context) error { _, err := fw.PutString(ctx, "image", "x"); return err })
		refused("b's store", func(ctx context.Context) error { _, err := js.ObjectStore(ctx, "fw-b"); return err })
	})
	t.Run("the rest of JetStream", func(*testing.T) {
		refused("listing streams", func(ctx context.Context) error { _, err := js.AccountInfo(ctx); return err })
		refused("deleting a stream", func(ctx context.Context) error { return js.DeleteStream(ctx, "KV_config") })
		refused("purging", func(ctx context.Context) error {
			_, err := nc.RequestWithContext(ctx, "$JS.API.STREAM.PURGE.KV_config", nil)
			return err
		})
		refused("reading by sequence", func(ctx context.Context) error {
			_, err := nc.RequestWithContext(ctx, "$JS.API.DIRECT.GET.KV_config", []byte(`{"seq":1}`))
			return err
		})
	})
}

func setUp(ctx context.Context, t *testing.T, js jetstream.JetStream) {
	t.Helper()
	for _, bucket := range []string{"config", "state"} {
		kv := must[jetstream.KeyValue](t)(js.CreateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: bucket}))
		if bucket == "config" {
			must[uint64](t)(kv.PutString(ctx, "a.mode", "fast"))
			must[uint64](t)(kv.PutString(ctx, "b.mode", "fast"))
		}
	}
	must[jetstream.Stream](t)(js.CreateStream(ctx, jetstream.StreamConfig{Name: "TELEMETRY", Subjects: []string{"telemetry.*"}}))
	must[jetstream.Stream](t)(js.CreateStream(ctx, jetstream.StreamConfig{Name: "JOBS", Subjects: []string{"jobs.*"}}))
	for _, id := range []string{"a", "b"} {
		must[jetstream.Consumer](t)(js.CreateConsumer(ctx, "JOBS", jetstream.ConsumerConfig{Durable: "dev-" + id, FilterSubject: "jobs." + id, AckPolicy: jetstream.AckExplicitPolicy}))
		fw := must[jetstream.ObjectStore](t)(js.CreateObjectStore(ctx, jetstream.ObjectStoreConfig{Bucket: "fw-" + id}))
		must[*jetstream.ObjectInfo](t)(fw.PutString(ctx, "image", "firmware"))
		must[jetstream.ObjectStore](t)(js.CreateObjectStore(ctx, jetstream.ObjectStoreConfig{Bucket: "up-" + id}))
	}
}

// TestWhatAttackersTry is what a device that has the macros sends by hand, past the client library.
func TestWhatAttackersTry(t *testing.T) {
	s := withDevices(t)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	platform, pnc, _ := device(t, s, "platform")
	setUp(ctx, t, platform)
	_, nc, seen := device(t, s, "a")
	must[*jetstream.PubAck](t)(platform.Publish(ctx, "jobs.b", []byte("job")))
	b := must[jetstream.Consumer](t)(must[jetstream.JetStream](t)(jetstream.New(pnc)).Consumer(ctx, "JOBS", "dev-b"))
	job := must[jetstream.Msg](t)(b.Next(jetstream.FetchMaxWait(20 * time.Second)))
	ack := must[*jetstream.MsgMetadata](t)(job.Metadata())
	if ack.Consumer != "dev-b" {
		t.Fatalf("%+v", ack)
	}

	t.Run("the server refuses the subject", func(t *testing.T) {
		for _, subject := range []string{
			job.Reply(), // acknowledge b's message
			"$JS.API.CONSUMER.MSG.NEXT.JOBS.dev-b", "$JS.API.CONSUMER.INFO.JOBS.dev-b", "$JS.API.CONSUMER.LIST.JOBS", "$JS.API.CONSUMER.NAMES.JOBS",
			"$JS.API.CONSUMER.CREATE.JOBS", "$JS.API.CONSUMER.CREATE.JOBS.dev-a", "$JS.API.CONSUMER.CREATE.JOBS.dev-a.jobs.b", "$JS.API.CONSUMER.DURABLE.CREATE.JOBS.dev-a",
			"$JS.API.CONSUMER.DELETE.JOBS.dev-a", "$JS.API.CONSUMER.DELETE.JOBS.dev-b", "$JS.API.CONSUMER.PAUSE.JOBS.dev-a", "$JS.API.CONSUMER.UNPIN.JOBS.dev-a",
			"$JS.API.STREAM.INFO.JOBS", "$JS.API.STREAM.MSG.GET.JOBS", "$JS.API.DIRECT.GET.JOBS", "$JS.API.DIRECT.GET.JOBS.jobs.b", "$JS.API.STREAM.MSG.DELETE.JOBS",
			"$JS.API.STREAM.LIST", "$JS.API.STREAM.NAMES", "$JS.API.STREAM.CREATE.X", "$JS.API.STREAM.UPDATE.KV_config", "$JS.API.STREAM.DELETE.KV_state", "$JS.API.STREAM.PURGE.KV_state", "$JS.API.STREAM.PURGE.JOBS",
			"$JS.API.STREAM.MSG.GET.KV_config", "$JS.API.DIRECT.GET.KV_config", "$JS.API.DIRECT.GET.KV_config.$KV.config.b.mode", "$JS.API.DIRECT.GET.KV_state.$KV.state.b",
			"$JS.API.CONSUMER.CREATE.KV_config", "$JS.API.CONSUMER.CREATE.KV_config.x", "$JS.API.CONSUMER.CREATE.KV_config.x.$KV.config.b.>", "$JS.API.CONSUMER.CREATE.KV_config.x.$KV.config.>",
			"$JS.API.CONSUMER.CREATE.KV_state.x.$KV.state.a", "$JS.API.CONSUMER.MSG.NEXT.KV_config.x", "$JS.API.CONSUMER.DELETE.KV_config.x", "$JS.API.CONSUMER.LIST.KV_config",
			"$KV.config.a.mode", "$KV.state.b", "$KV.state.a.x", "$O.fw-a.M.aW1hZ2U", "$O.up-b.C.x", "$JS.API.STREAM.PURGE.OBJ_fw-a", "$JS.API.STREAM.PURGE.OBJ_up-b", "$JS.API.STREAM.DELETE.OBJ_up-a",
			"$JS.API.META.LEADER.STEPDOWN", "$JS.API.SERVER.REMOVE", "$JS.API.INFO", "telemetry.b", "jobs.b",
		} {
			seen.watch(func() {})
			if err := nc.PublishRequest(subject, "_INBOX_a.x", []byte(`{}`)); err != nil {
				t.Fatal(err)
			}
			natstest.Eventually(t, subject+" is refused", func() bool {
				for _, v := range seen.list() {
					if strings.Contains(v, `"`+subject+`"`) {
						return true
					}
				}
				return false
			})
		}
		for _, subject := range []string{"_INBOX_b.>", "_INBOX.>", ">", "$KV.config.b.>", "$JS.ACK.>", "jobs.a", "$JS.EVENT.>", "$JS.API.>"} {
			seen.watch(func() {})
			must[*nats.Subscription](t)(nc.SubscribeSync(subject))
			natstest.Eventually(t, subject+" is refused to subscribe to", func() bool { return len(seen.list()) > 0 })
		}
	})
	t.Run("JetStream refuses the body", func(t *testing.T) {
		ask := func(subject, body string) string {
			t.Helper()
			m := must[*nats.Msg](t)(nc.RequestWithContext(ctx, subject, []byte(body)))
			return m.Header.Get("Status") + " " + string(m.Data)
		}
		const create = "$JS.API.CONSUMER.CREATE.KV_config.x.$KV.config.a.>"
		for _, tt := range []struct{ name, subject, body, want string }{
			{"a filter that is not the subject's", create, `{"stream_name":"KV_config","config":{"name":"x","filter_subject":"$KV.config.b.>","ack_policy":"none"},"action":"create"}`, "10131"},
			{"no filter", create, `{"stream_name":"KV_config","config":{"name":"x","ack_policy":"none"},"action":"create"}`, "10131"},
			{"several filters", create, `{"stream_name":"KV_config","config":{"name":"x","filter_subjects":["$KV.config.>"],"ack_policy":"none"},"action":"create"}`, "10137"},
			{"another stream", create, `{"stream_name":"JOBS","config":{"name":"x","filter_subject":"$KV.config.a.>","ack_policy":"none"},"action":"create"}`, "error"},
			{"another key in the body of a read", "$JS.API.DIRECT.GET.KV_config.$KV.config.a.mode", `{"last_by_subj":"$KV.config.b.mode"}`, "408"},
			{"several keys in the body of a read", "$JS.API.DIRECT.GET.KV_config.$KV.config.a.mode", `{"multi_last":["$KV.config.>"]}`, "408"},
			{"a sequence in the body of a read", "$JS.API.DIRECT.GET.KV_config.$KV.config.a.mode", `{"seq":2}`, "408"},
			{"the next ones in the body of a read", "$JS.API.DIRECT.GET.KV_config.$KV.config.a.mode", `{"next_by_subj":"$KV.config.>","batch":10}`, "408"},
		} {
			if got := ask(tt.subject, tt.body); !strings.Contains(got, tt.want) || strings.Contains(got, `"created"`) {
				t.Errorf("%s: got %s, want %s", tt.name, got, tt.want)
			}
		}
	})
	t.Run("the neighbour's message is still its own", func(t *testing.T) {
		info := must[*jetstream.ConsumerInfo](t)(b.Info(ctx))
		if info.NumAckPending != 1 {
			t.Errorf("%d messages of b wait for an acknowledgement, want 1", info.NumAckPending)
		}
		if err := job.DoubleAck(ctx); err != nil {
			t.Error(err)
		}
	})
}

// TestRollup documents what no permission prevents, and what does: whoever may write one key can empty the bucket with a
// header, unless the bucket's stream takes no rollups. The linter warns of it.
func TestRollup(t *testing.T) {
	s := withDevices(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	platform, _, _ := device(t, s, "platform")
	setUp(ctx, t, platform)
	js, nc, _ := device(t, s, "a")
	kv := must[jetstream.KeyValue](t)(platform.KeyValue(ctx, "state"))
	rollup := func() *nats.Msg {
		t.Helper()
		must[uint64](t)(kv.PutString(ctx, "b", "of b"))
		m := nats.NewMsg("$KV.state.a")
		m.Header.Set("Nats-Rollup", "all")
		return must[*nats.Msg](t)(nc.RequestMsgWithContext(ctx, m))
	}
	rollup()
	if _, err := kv.Get(ctx, "b"); !errors.Is(err, jetstream.ErrKeyNotFound) {
		t.Errorf("b's key after a rollup of all: %v; if the server refuses it now, the linter need not warn", err)
	}
	stream := must[jetstream.Stream](t)(platform.Stream(ctx, "KV_state"))
	config := stream.CachedInfo().Config
	config.AllowRollup = false
	must[jetstream.Stream](t)(platform.UpdateStream(ctx, config))
	if m := rollup(); !strings.Contains(string(m.Data), "rollup not permitted") {
		t.Errorf("got %s", m.Data)
	}
	if e := must[jetstream.KeyValueEntry](t)(kv.Get(ctx, "b")); string(e.Value()) != "of b" {
		t.Errorf("got %s", e.Value())
	}
	own := must[jetstream.KeyValue](t)(js.KeyValue(ctx, "state"))
	must[uint64](t)(own.PutString(ctx, "a", "1"))
	if err := own.Delete(ctx, "a"); err != nil {
		t.Error(err)
	}
}

// TestNamedConsumers documents that watching, which must be able to make consumers, can turn one whose name is known to the
// device's own keys. It reads nothing by that. The linter warns of it.
func TestNamedConsumers(t *testing.T) {
	s := withDevices(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	platform, _, _ := device(t, s, "platform")
	setUp(ctx, t, platform)
	_, nc, _ := device(t, s, "a")
	c := must[jetstream.Consumer](t)(platform.CreateConsumer(ctx, "KV_config", jetstream.ConsumerConfig{Durable: "known", FilterSubject: "$KV.config.b.>", AckPolicy: jetstream.AckExplicitPolicy}))
	body := []byte(`{"stream_name":"KV_config","config":{"name":"known","durable_name":"known","filter_subject":"$KV.config.a.>","ack_policy":"explicit"},"action":"update"}`)
	must[*nats.Msg](t)(nc.RequestWithContext(ctx, "$JS.API.CONSUMER.CREATE.KV_config.known.$KV.config.a.>", body))
	if filter := must[*jetstream.ConsumerInfo](t)(c.Info(ctx)).Config.FilterSubject; filter != "$KV.config.a.>" {
		t.Errorf("its filter is %s; if the server refuses this now, the linter need not warn", filter)
	}
}

// TestRepliesAreNotChecked documents what no permission of NATS prevents: whoever may make a request names the subject of
// its answer, and nobody asks whether it may publish there. A device that writes and reads a key can so put a message of
// its choice on any subject of its account.
func TestRepliesAreNotChecked(t *testing.T) {
	s := withDevices(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	platform, pnc, _ := device(t, s, "platform")
	setUp(ctx, t, platform)
	js, nc, _ := device(t, s, "a")
	kv := must[jetstream.KeyValue](t)(js.KeyValue(ctx, "state"))
	must[uint64](t)(kv.PutString(ctx, "a", "forged"))
	victim := must[*nats.Subscription](t)(pnc.SubscribeSync("device-commands.b"))
	if err := pnc.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := nc.PublishRequest("$JS.API.DIRECT.GET.KV_state.$KV.state.a", "device-commands.b", nil); err != nil {
		t.Fatal(err)
	}
	if m := must[*nats.Msg](t)(victim.NextMsgWithContext(ctx)); string(m.Data) != "forged" {
		t.Errorf("received %q", m.Data)
	}
	create := `{"stream_name":"KV_config","config":{"name":"x","deliver_subject":"device-commands.b","filter_subject":"$KV.config.a.>","ack_policy":"none"},"action":"create"}`
	if err := nc.PublishRequest("$JS.API.CONSUMER.CREATE.KV_config.x.$KV.config.a.>", "_INBOX_a.x", []byte(create)); err != nil {
		t.Fatal(err)
	}
	if m := must[*nats.Msg](t)(victim.NextMsgWithContext(ctx)); string(m.Data) != "fast" {
		t.Errorf("received %q", m.Data)
	}
}

// TestAnswersReachBuckets documents why the buckets of the rules and of the device registry must not be in an account with
// devices: an answer is a message like any other to the stream that listens there. A device that may read and write a key of
// its own writes any other; whoever may only publish what a stream keeps spoils it with the acknowledgement. The linter warns of
// the first.
func TestAnswersReachBuckets(t *testing.T) {
	s := withDevices(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	platform, _, _ := device(t, s, "platform")
	setUp(ctx, t, platform)
	kv := must[jetstream.KeyValue](t)(platform.CreateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: "policy"}))
	must[uint64](t)(kv.PutString(ctx, "rules", "of the operator"))
	js, nc, _ := device(t, s, "a")
	own := must[jetstream.KeyValue](t)(js.KeyValue(ctx, "state"))
	must[uint64](t)(own.PutString(ctx, "a", "of the device"))
	for asked, answer := range map[string]string{"$JS.API.DIRECT.GET.KV_state.$KV.state.a": "of the device", "telemetry.a": "TELEMETRY"} {
		if err := nc.PublishRequest(asked, "$KV.policy.rules", nil); err != nil {
			t.Fatal(err)
		}
		// If the server refuses this one day, the linter need not warn.
		natstest.Eventually(t, "the answer to "+asked+" is in the bucket", func() bool {
			return strings.Contains(string(must[jetstream.KeyValueEntry](t)(kv.Get(ctx, "rules")).Value()), answer)
		})
	}
}
