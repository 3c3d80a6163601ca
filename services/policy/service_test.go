package policy_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"harmony.internal/authcallout/services/policy"
	"harmony.internal/authcallout/services/policy/command"
	"harmony.internal/authcallout/services/policy/registry"
	"harmony.internal/authcallout/shared/config"
	"harmony.internal/authcallout/shared/natstest"
	"harmony.internal/authcallout/shared/natsx"
	"harmony.internal/authcallout/shared/wire"
)

const rulesText = `
variables: { device_id: { from: ["registry:device_id", device_id] } }
rules:
  - { name: device, when: '"device" in roles', publish: { allow: ["state.{device_id}"] }, subscribe: { allow: ["commands.{device_id}"] } }
`

func rulesNamed(name string) string {
	return strings.ReplaceAll(rulesText, "name: device", "name: "+name)
}

// bench is a JetStream server, a connection for the test, and replicas of policy.
type bench struct {
	t    *testing.T
	ns   *server.Server
	nc   *nats.Conn
	js   jetstream.JetStream
	logs *observer.ObservedLogs
	log  *zap.Logger
}

// leastPermissions is what policy needs with the rules in bucket policy and a registry with mode pin in bucket devices;
// docs/policy-reference.md has them for an operator.
const leastPermissions = `
	publish: { allow: [
		"$JS.API.STREAM.INFO.KV_policy", "$JS.API.CONSUMER.CREATE.KV_policy.*.$KV.policy.rules", "$JS.API.CONSUMER.DELETE.KV_policy.*", "$JS.FC.KV_policy.>"
		"$JS.API.STREAM.INFO.KV_devices", "$JS.API.CONSUMER.CREATE.KV_devices.*.$KV.devices.>", "$JS.API.CONSUMER.DELETE.KV_devices.*", "$JS.FC.KV_devices.>"
		"$JS.API.DIRECT.GET.KV_devices.$KV.devices.>", "$KV.devices.>"
	] }
	subscribe: { allow: ["auth.v1.policy.decide policy", "auth.v1.policy.explain policy", "auth.v1.ready.policy", "_AUTH_INBOX.policy.>", "$SRV.>"] }
	allow_responses: { max: 5, expires: "10s" }`

// users are the test's own and policy's.
var users = fmt.Sprintf("authorization: {users: [{user: test, password: test}, {user: policy, password: policy, permissions: {%s}}]}", leastPermissions)

func newBench(t *testing.T) *bench {
	t.Helper()
	return newBenchOn(t, natstest.Run(t, fmt.Sprintf("jetstream: {store_dir: %q}\n%s", t.TempDir(), users)))
}

// newBenchOn has its connection to one of several servers.
func newBenchOn(t *testing.T, ns *server.Server) *bench {
	t.Helper()
	b := &bench{t: t, ns: ns, nc: natstest.Connect(t, ns, nats.UserInfo("test", "test"), nats.MaxReconnects(-1))}
	core, logs := observer.New(zapcore.InfoLevel)
	b.log, b.logs = zap.New(core), logs
	var err error
	if b.js, err = jetstream.New(b.nc); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *bench) file(name, text string) config.Path {
	b.t.Helper()
	file := filepath.Join(b.t.TempDir(), name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		b.t.Fatal(err)
	}
	return config.Path(file)
}

func (b *bench) bucket(name string) jetstream.KeyValue {
	b.t.Helper()
	kv, err := b.js.CreateKeyValue(b.t.Context(), jetstream.KeyValueConfig{Bucket: name})
	if err != nil {
		b.t.Fatal(err)
	}
	return kv
}

// start runs a replica until the returned function is called, which is also done at the end of the test.
func (b *bench) start(cfg policy.Config) (stop func()) {
	b.t.Helper()
	if len(cfg.NATS.URLs) == 0 {
		cfg.NATS.URLs = []string{b.ns.ClientURL()}
	}
	cfg.NATS = natsx.Config{URLs: cfg.NATS.URLs, User: "policy", PasswordFile: b.file("password", "policy")}
	cfg.SetDefaults()
	s, err := policy.New(&cfg, policy.Deps{Log: b.log, Version: "1.0.0"})
	if err != nil {
		b.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	b.t.Cleanup(func() {
		for _, e := range b.logs.FilterMessageSnippet("refuses a subject").All() {
			b.t.Errorf("%s %v", e.Message, e.ContextMap())
		}
	})
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			b.t.Error(err)
		}
	})
	b.t.Cleanup(stop)
	natstest.Eventually(b.t, "policy answers", func() bool {
		_, fail := b.decide(who{"i", "nobody", "nobody"})
		return fail == nil || fail.Code != wire.PolicyUnavailable
	})
	return stop
}

func jsonOf[T any](data []byte) (v T, err error) { return v, json.Unmarshal(data, &v) }

// who is an identity and the device id that its token claims.
type who struct{ issuer, subject, device string }

func (w who) request() *wire.DecideRequest {
	claims, _ := json.Marshal(map[string]string{"device_id": w.device})
	return &wire.DecideRequest{Token: wire.Verified{Issuer: w.issuer, Subject: w.subject, ExpiresAt: 1, Roles: []string{"device"}, Claims: claims}}
}

func (b *bench) ask(subject string, data []byte) ([]byte, *wire.Error) {
	b.t.Helper()
	m, err := b.nc.Request(subject, data, 10*time.Second)
	if errors.Is(err, nats.ErrNoResponders) {
		return nil, wire.Fail(wire.PolicyUnavailable, "", err)
	}
	if err != nil {
		b.t.Fatal(err)
	}
	if m.Header.Get(wire.HeaderErrorCode) != "" {
		fail, err := wire.Decode[wire.Error](m.Data, 1<<16)
		if err != nil {
			b.t.Fatal(err)
		}
		return nil, fail
	}
	return m.Data, nil
}

func (b *bench) decide(w who) (*wire.Grant, *wire.Error) {
	b.t.Helper()
	data, err := wire.Encode(w.request())
	if err != nil {
		b.t.Fatal(err)
	}
	reply, fail := b.ask("auth.v1.policy.decide", data)
	if fail != nil {
		return nil, fail
	}
	g, err := wire.Decode[wire.Grant](reply, wire.MaxGrantBytes)
	if err != nil {
		b.t.Fatal(err)
	}
	return g, nil
}

// want asserts an outcome: a device id or a code.
func (b *bench) want(w who, device string, code wire.Code) {
	b.t.Helper()
	g, fail := b.decide(w)
	switch {
	case fail != nil && fail.Code != code:
		b.t.Errorf("%v: %v, want %v", w, fail, code)
	case fail == nil && (code != 0 || g.Device != device):
		b.t.Errorf("%v: admitted as %q, want %q %v", w, g.Device, device, code)
	}
}

func TestPolicyInBucket(t *testing.T) {
	b := newBench(t)
	last := filepath.Join(t.TempDir(), "last.yaml")
	cfg := policy.Config{PolicyKV: &policy.KVConfig{Bucket: "policy"}, LastGoodFile: config.Path(last)}
	stop := b.start(cfg)
	b.want(who{"i", "s", "a"}, "", wire.PolicyNotLoaded) // no bucket yet

	kv := b.bucket("policy")
	operator := string(b.file("put.yaml", "nats: {urls: ['"+b.ns.ClientURL()+"'], user: test, password_file: "+string(b.file("password", "test"))+"}\npolicy_kv: {bucket: policy}\n"))
	tests := string(b.file("tests.yaml", "tests:\n  - {name: t, token: {roles: [device], claims: {device_id: a}}, expect: {rule: one, publish: [state.a]}}\n"))
	put := func(code int, args ...string) {
		t.Helper()
		var out bytes.Buffer
		if got := command.Run(t.Context(), append([]string{"put", "-config", operator}, args...), &out, &out); got != code {
			t.Fatalf("exit %d, want %d: %s", got, code, out.String())
		}
	}
	inForce := func(rule string, generation uint64) {
		t.Helper()
		natstest.Eventually(t, fmt.Sprintf("rule %s, generation %d", rule, generation), func() bool {
			g, fail := b.decide(who{"i", "s", "a"})
			return fail == nil && g.Rule == rule && g.PolicyGeneration == generation
		})
		natstest.Eventually(t, "micro's metadata name it", func() bool {
			m, err := b.nc.Request("$SRV.INFO.policy", nil, 10*time.Second)
			return err == nil && strings.Contains(string(m.Data), fmt.Sprintf(`"policy_generation":"%d"`, generation))
		})
	}
	one, two := string(b.file("one.yaml", rulesNamed("one"))), string(b.file("two.yaml", rulesNamed("two")))
	put(0, "-revision", "0", one, tests)
	inForce("one", 1)
	put(1, two, tests)                                       // does not pass its tests
	put(2, string(b.file("broken.yaml", "rules: [")), tests) // does not compile
	put(2, "-revision", "0", one, tests)                     // somebody was faster
	put(0, string(b.file("same.yaml", rulesNamed("one"))), tests)
	inForce("one", 2)
	if _, err := kv.PutString(t.Context(), "rules", "rules: ["); err != nil { // past the command
		t.Fatal(err)
	}
	if _, err := kv.PutString(t.Context(), "rules", rulesNamed("two")); err != nil {
		t.Fatal(err)
	}
	inForce("two", 4)
	if err := kv.Delete(t.Context(), "rules"); err != nil {
		t.Fatal(err)
	}
	put(0, one, tests)
	inForce("one", 6)
	stop()
	if err := b.js.DeleteKeyValue(t.Context(), "policy"); err != nil {
		t.Fatal(err)
	}
	b.start(cfg) // the bucket is gone: what was in force last is again
	inForce("one", 0)
}

func TestLastGoodFile(t *testing.T) {
	b := newBench(t)
	cfg := policy.Config{PolicyFile: b.file("rules.yaml", rulesNamed("one")), LastGoodFile: config.Path(filepath.Join(t.TempDir(), "last.yaml"))}
	b.start(cfg)()
	if err := os.WriteFile(string(cfg.PolicyFile), []byte("rules: ["), 0o600); err != nil {
		t.Fatal(err)
	}
	b.start(cfg)
	if g, fail := b.decide(who{"i", "s", "a"}); fail != nil || g.Rule != "one" {
		t.Errorf("%+v %v", g, fail)
	}
}

// TestLastGoodFileThatCannotBeRead is told: without it nobody is admitted while the bucket cannot be reached.
func TestLastGoodFileThatCannotBeRead(t *testing.T) {
	b := newBench(t)
	b.start(policy.Config{PolicyKV: &policy.KVConfig{Bucket: "policy"}, LastGoodFile: config.Path(t.TempDir())})()
	if n := b.logs.FilterMessage("last_good_file cannot be read").Len(); n != 1 {
		t.Errorf("logged %d times", n)
	}
}

func TestRegistryFile(t *testing.T) {
	b := newBench(t)
	devices := b.file("devices.yaml", "devices:\n  - {issuer: i, subject: s1, device_id: a, attributes: {site: berlin}}\n")
	for _, tt := range []struct {
		mode registry.Mode
		rows []func()
	}{
		{registry.Required, []func(){
			func() { b.want(who{"i", "s1", "a"}, "a", 0) },
			func() { b.want(who{"i", "s1", "b"}, "a", 0) }, // what the token claims does not count
			func() { b.want(who{"i", "s2", "a"}, "", wire.DeviceIDTaken) },
			func() { b.want(who{"j", "s1", "a"}, "", wire.DeviceIDTaken) }, // another issuer is another identity
			func() { b.want(who{"i", "s2", "b"}, "", wire.DeviceNotRegistered) },
		}},
		{registry.Optional, []func(){
			func() { b.want(who{"i", "s1", "a"}, "a", 0) },
			func() { b.want(who{"i", "s2", "a"}, "", wire.DeviceIDTaken) },
			func() { b.want(who{"i", "s2", "b"}, "b", 0) },
		}},
	} {
		stop := b.start(policy.Config{PolicyFile: b.file("rules.yaml", rulesText), Registry: &policy.RegistryConfig{Mode: tt.mode, File: devices}})
		for _, row := range tt.rows {
			row()
		}
		if tt.mode == registry.Optional {
			if err := os.WriteFile(string(devices), []byte("devices:\n  - {issuer: i, subject: s2, device_id: c}\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			natstest.Eventually(t, "the file is taken over", func() bool { g, fail := b.decide(who{"i", "s2", "x"}); return fail == nil && g.Device == "c" })
		}
		stop()
	}
}

func TestPin(t *testing.T) {
	b := newBench(t)
	cfg := policy.Config{PolicyFile: b.file("rules.yaml", rulesText), Registry: &policy.RegistryConfig{Mode: registry.Pin, Bucket: "devices"}}
	b.start(cfg)
	b.want(who{"i", "s1", "a"}, "", wire.RegistryUnavailable)
	kv := b.bucket("devices")
	natstest.Eventually(t, "the bucket is read", func() bool {
		_, fail := b.decide(who{"i", "s1", "a"})
		return fail == nil
	})
	b.start(cfg) // a second replica
	b.start(cfg) // and a third
	// Twenty identities claim one id at once: one gets it, at every replica the same.
	var wg sync.WaitGroup
	outcomes := make([]*wire.Error, 20)
	for i := range outcomes {
		wg.Go(func() { _, outcomes[i] = b.decide(who{"i", fmt.Sprintf("r%d", i), "race"}) })
	}
	wg.Wait()
	owners := 0
	for _, fail := range outcomes {
		switch {
		case fail == nil:
			owners++
		case fail.Code != wire.DeviceIDTaken && fail.Code != wire.RegistryUnavailable:
			t.Error(fail)
		}
	}
	if owners > 1 {
		t.Errorf("%d owners", owners)
	}
	for range 20 {
		b.want(who{"i", "s1", "a"}, "a", 0)
		b.want(who{"i", "s2", "a"}, "", wire.DeviceIDTaken)
	}
	b.want(who{"i", "s3", "Zürich"}, "Zürich", 0)
	b.want(who{"i", "s4", "Zürich"}, "", wire.DeviceIDTaken)
	natstest.Eventually(t, "an identity is one device", func() bool {
		_, fail := b.decide(who{"i", "s3", "other"})
		return fail == nil || fail.Code == wire.DeviceIDTaken
	})
	// An operator frees an id, and gives it to another.
	if _, err := kv.PutString(t.Context(), registry.Key("a"), `{"issuer":"i","subject":"s2"}`); err != nil {
		t.Fatal(err)
	}
	natstest.Eventually(t, "the new owner is in", func() bool {
		for range 6 {
			if _, fail := b.decide(who{"i", "s2", "a"}); fail != nil {
				return false
			}
		}
		return true
	})
	b.want(who{"i", "s1", "a"}, "", wire.DeviceIDTaken)
}

func TestRefusalsNameTheirPolicy(t *testing.T) {
	b := newBench(t)
	b.start(policy.Config{PolicyFile: b.file("rules.yaml", rulesText)})
	if _, fail := b.decide(who{"i", "s", "*"}); fail == nil || fail.Policy == nil || fail.Policy.Rule != "device" || fail.Policy.Generation != 1 || fail.Policy.Hash == "" {
		t.Errorf("%+v", fail)
	}
}

// TestHandedOn: who did not see the token is told whose it is, with the grant and with a refusal.
func TestHandedOn(t *testing.T) {
	b := newBench(t)
	b.start(policy.Config{PolicyFile: b.file("rules.yaml", rulesText)})
	ask := func(device string) ([]byte, *wire.Error) {
		q := who{"i", "s", device}.request()
		q.Token.KeyID, q.HandedOn = "k", &wire.HandedOn{CheckMicros: 42}
		data, err := wire.Encode(q)
		if err != nil {
			t.Fatal(err)
		}
		return b.ask("auth.v1.policy.decide", data)
	}
	reply, fail := ask("a")
	if fail != nil {
		t.Fatal(fail)
	}
	v, err := wire.Decode[wire.Verified](reply, wire.MaxGrantBytes)
	if err != nil || v.Issuer != "i" || v.Subject != "s" || v.KeyID != "k" || v.ExpiresAt != 1 || v.CheckMicros != 42 || v.Claims != nil || v.Roles != nil {
		t.Errorf("%s, %v", reply, err)
	}
	if v.Grant == nil || v.Grant.Device != "a" || v.Grant.PolicyGeneration != 1 {
		t.Errorf("grant %+v", v.Grant)
	}
	if _, fail = ask("*"); fail == nil || fail.Policy == nil || fail.Verified == nil || fail.Verified.Subject != "s" || fail.Verified.CheckMicros != 42 {
		t.Errorf("%+v", fail)
	}
}

func TestExplainEndpoint(t *testing.T) {
	b := newBench(t)
	b.start(policy.Config{PolicyFile: b.file("rules.yaml", rulesText)})
	reply, fail := b.ask("auth.v1.policy.explain", []byte(`{"token":{"issuer":"i","subject":"s","expires_at":1,"roles":["device"],"claims":{"device_id":"a"}},"client":{},"publish":["state.a","state.b"]}`))
	if fail != nil {
		t.Fatal(fail)
	}
	for _, want := range []string{`"result":"matched"`, `"origin":"device_id"`, `"state.a":{"may":true`, `"state.b":{"may":false`, `"policy_generation":1`} {
		if !strings.Contains(string(reply), want) {
			t.Errorf("missing %s in %s", want, reply)
		}
	}
	for _, tt := range []struct{ request, want string }{
		{`{"checks":[{"check":"form","result":"passed"}],"verified":{"issuer":"i","subject":"s","expires_at":1,"roles":["device"],"claims":{"device_id":"a"}}}`, `{"checks":[{"check":"form","result":"passed"}],"rules":`},
		{`{"verified":{"issuer":"i","subject":"s","expires_at":1,"claims":{"device_id":"a"}}}`, `{"refused":"policy","rules":[{"name":"device","result":"no match","when":"\"device\" in roles"`},
		{`{"checks":[],"error":{"code":1011,"reason":"token_expired"}}`, `{"checks":[],"refused":"token","rules":null,"error":{"code":1011,"reason":"token_expired"}`},
	} {
		reply, fail := b.ask("auth.v1.policy.explain", []byte(tt.request))
		if fail != nil || !strings.HasPrefix(string(reply), tt.want) {
			t.Errorf("%s: %s %v, want %s", tt.request, reply, fail, tt.want)
		}
	}
	for _, request := range []string{`{}`, `{"client":{}}`, `{"token":{"issuer":"i","subject":"s"}}`, `[]`, `{"token":"eyJ"}`} {
		if _, fail := b.ask("auth.v1.policy.explain", []byte(request)); fail == nil || fail.Code != wire.BadRequest {
			t.Errorf("%s: %v, want bad_request", request, fail)
		}
	}
}

// TestExplainWithoutAGrant: what the registry refuses is no grant, whatever the rules say.
func TestExplainWithoutAGrant(t *testing.T) {
	b := newBench(t)
	b.start(policy.Config{PolicyFile: b.file("rules.yaml", rulesText), Registry: &policy.RegistryConfig{
		Mode: registry.Optional, File: b.file("devices.yaml", "devices: [{issuer: i, subject: owner, device_id: a}]\n"),
	}})
	reply, fail := b.ask("auth.v1.policy.explain", []byte(`{"token":{"issuer":"i","subject":"s","expires_at":1,"roles":["device"],"claims":{"device_id":"a"}},"publish":["state.a"]}`))
	if fail != nil {
		t.Fatal(fail)
	}
	got, err := jsonOf[struct {
		Refused string
		Error   *wire.Error
		Grant   *wire.Grant
		Publish map[string]any
	}](reply)
	if err != nil || got.Refused != "policy" || got.Error == nil || got.Error.Code != wire.DeviceIDTaken {
		t.Errorf("%s %v", reply, err)
	}
	if got.Grant != nil || got.Publish != nil {
		t.Errorf("something is granted: %s", reply)
	}
}

func TestShadow(t *testing.T) {
	b := newBench(t)
	candidate := strings.ReplaceAll(rulesText, `["state.{device_id}"]`, `["state.{device_id}", news]`)
	b.start(policy.Config{PolicyFile: b.file("rules.yaml", rulesText), ShadowFile: b.file("next.yaml", candidate)})
	b.want(who{"i", "s", "a"}, "a", 0)
	natstest.Eventually(t, "the difference is logged", func() bool {
		for _, e := range b.logs.FilterMessage("shadow policy differs").All() {
			if e.ContextMap()["device"] == "a" && e.ContextMap()["difference"] == "gains publish allow news" {
				return true
			}
		}
		return false
	})
	m, err := b.nc.Request("$SRV.STATS.policy", nil, 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(m.Data), `"would_gain":`) {
		t.Errorf("%s", m.Data)
	}
}

// TestNoRequestIsLostByAChange asks without pause while the rules change.
func TestNoRequestIsLostByAChange(t *testing.T) {
	b := newBench(t)
	file := b.file("rules.yaml", rulesNamed("r0"))
	b.start(policy.Config{PolicyFile: file})
	for i := 1; i <= 3; i++ {
		name := fmt.Sprintf("r%d", i)
		if err := os.WriteFile(string(file)+".new", []byte(rulesNamed(name)), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(string(file)+".new", string(file)); err != nil {
			t.Fatal(err)
		}
		natstest.Eventually(t, name+" is in force", func() bool {
			g, fail := b.decide(who{"i", "s", "a"})
			if fail != nil {
				t.Fatal(fail)
			}
			return g.Rule == name
		})
	}
}

// TestPinManyAtOnce: an identity that claims many free ids at the same moment, as a device can that writes its own claims,
// gets one and leaves the others free.
func TestPinManyAtOnce(t *testing.T) {
	b := newBench(t)
	b.bucket("devices")
	cfg := policy.Config{PolicyFile: b.file("rules.yaml", rulesText), Registry: &policy.RegistryConfig{Mode: registry.Pin, Bucket: "devices"}}
	for range 2 {
		b.start(cfg)
	}
	const ids = 40
	var wg sync.WaitGroup
	var admitted sync.Map // as this device; a replica that knows by then which one it is admits it as that, whatever it claims
	for i := range ids {
		wg.Go(func() {
			if g, fail := b.decide(who{"i", "thief", fmt.Sprint("victim-", i)}); fail == nil {
				admitted.Store(g.Device, true)
			}
		})
	}
	wg.Wait()
	var as []any
	admitted.Range(func(device, _ any) bool {
		as = append(as, device)
		return true
	})
	if len(as) > 1 {
		t.Errorf("one identity was admitted as %v", as)
	}
	refused := 0
	for i := range ids {
		if _, fail := b.decide(who{"i", fmt.Sprint("owner-", i), fmt.Sprint("victim-", i)}); fail != nil {
			refused++
		}
	}
	if refused > 1 {
		t.Errorf("%d owners were refused their ids", refused)
	}
}
