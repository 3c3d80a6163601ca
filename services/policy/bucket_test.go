package policy_test

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"harmony.internal/authcallout/services/policy"
	"harmony.internal/authcallout/services/policy/command"
	"harmony.internal/authcallout/services/policy/registry"
	"harmony.internal/authcallout/shared/natstest"
	"harmony.internal/authcallout/shared/natsx"
	"harmony.internal/authcallout/shared/wire"
)

// three is a cluster of three servers with JetStream.
func three(t *testing.T) []*server.Server {
	t.Helper()
	var all []*server.Server
	var opts []*server.Options
	var routes []string
	for range 3 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		routes = append(routes, l.Addr().String())
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for i, listen := range routes {
		opts = append(opts, natstest.ParseConfig(t, fmt.Sprintf("server_name: n%d\njetstream: {store_dir: %q}\ncluster: {name: c, listen: %q, routes: [nats://%s]}\n%s",
			i, t.TempDir(), listen, strings.Join(routes, ", nats://"), users)))
	}
	for _, o := range opts {
		all = append(all, natstest.RunOptions(t, o))
	}
	natstest.Eventually(t, "the servers elect a leader", func() bool {
		for _, s := range all {
			if s.JetStreamIsLeader() && s.NumRoutes() >= 2 && len(s.JetStreamClusterPeers()) == 3 {
				return true
			}
		}
		return false
	})
	return all
}

// infos are the metadata of every replica that answers.
func (b *bench) infos(replicas int) []map[string]string {
	b.t.Helper()
	inbox := nats.NewInbox()
	sub, err := b.nc.SubscribeSync(inbox)
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = sub.Unsubscribe() }() // the connection ends with the test
	if err := b.nc.PublishRequest("$SRV.INFO.policy", inbox, nil); err != nil {
		b.t.Fatal(err)
	}
	var out []map[string]string
	for range replicas {
		m, err := sub.NextMsg(time.Second)
		if err != nil {
			break
		}
		info, err := jsonOf[struct{ Metadata map[string]string }](m.Data)
		if err != nil {
			b.t.Fatal(err)
		}
		out = append(out, info.Metadata)
	}
	return out
}

// TestReplicatedBucket: the policy in a bucket of three replicas reaches every replica of the service, also while one server,
// the leader of the bucket's stream, is down.
func TestReplicatedBucket(t *testing.T) {
	servers := three(t)
	b := newBenchOn(t, servers[2])
	var kv jetstream.KeyValue
	natstest.Eventually(t, "the bucket is made", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		var err error
		kv, err = b.js.CreateOrUpdateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: "policy", Replicas: 3})
		return err == nil
	})
	put := func(rule string, expect int) {
		t.Helper()
		operator := string(b.file("put.yaml", "nats: {urls: ['"+b.ns.ClientURL()+"'], user: test, password_file: "+string(b.file("password", "test"))+"}\npolicy_kv: {bucket: policy}\n"))
		tests := string(b.file("tests.yaml", "tests: [{name: t, token: {roles: [device], claims: {device_id: a}}, expect: {rule: "+rule+", publish: [state.a]}}]\n"))
		natstest.Eventually(t, "the policy is written", func() bool {
			var out strings.Builder
			return command.Run(t.Context(), []string{"put", "-config", operator, string(b.file("rules.yaml", rulesNamed(rule))), tests}, &out, &out) == expect
		})
	}
	everywhere := func(replicas int) {
		t.Helper()
		var e jetstream.KeyValueEntry
		natstest.Eventually(t, "the bucket can be read", func() bool {
			var err error
			e, err = kv.Get(t.Context(), "rules")
			return err == nil
		})
		begin := time.Now()
		natstest.Eventually(t, "every replica has it", func() bool {
			infos := b.infos(replicas)
			for _, m := range infos {
				if m["policy_generation"] != fmt.Sprint(e.Revision()) || m["policy_hash"] != infos[0]["policy_hash"] {
					return false
				}
			}
			return len(infos) == replicas
		})
		t.Logf("taken over by %d replicas, and in micro's metadata, within %v", replicas, time.Since(begin))
	}
	put("one", 0)
	for range 3 {
		b.start(policy.Config{NATS: natsx.Config{URLs: []string{servers[1].ClientURL(), servers[2].ClientURL()}}, PolicyKV: &policy.KVConfig{Bucket: "policy"}})
	}
	everywhere(3)
	put("two", 0)
	everywhere(3)
	servers[0].Shutdown()
	put("three", 0)
	everywhere(3)
	b.want(who{"i", "s", "a"}, "a", 0)
}

// TestBucketMadeAgain: a bucket that is lost and made anew, with lower revisions, is followed.
func TestBucketMadeAgain(t *testing.T) {
	b := newBench(t)
	kv := b.bucket("policy")
	for _, name := range []string{"one", "two", "three"} {
		if _, err := kv.PutString(t.Context(), "rules", rulesNamed(name)); err != nil {
			t.Fatal(err)
		}
	}
	b.start(policy.Config{PolicyKV: &policy.KVConfig{Bucket: "policy"}})
	inForce := func(rule string) {
		t.Helper()
		natstest.Eventually(t, "rule "+rule, func() bool { g, fail := b.decide(who{"i", "s", "a"}); return fail == nil && g.Rule == rule })
	}
	inForce("three")
	if err := b.js.DeleteKeyValue(t.Context(), "policy"); err != nil {
		t.Fatal(err)
	}
	b.want(who{"i", "s", "a"}, "a", 0)
	natstest.Eventually(t, "the server lets it be made again", func() bool { // it removes the files of the one before in the background
		var err error
		kv, err = b.js.CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: "policy"})
		return err == nil
	})
	if _, err := kv.PutString(t.Context(), "rules", rulesNamed("four")); err != nil {
		t.Fatal(err)
	}
	inForce("four")
}

// TestPinWithoutJetStream: while the bucket cannot be reached owners keep their ids, nobody gets another's, and a free one is
// transient trouble.
func TestPinWithoutJetStream(t *testing.T) {
	b := newBench(t)
	b.bucket("devices")
	b.start(policy.Config{PolicyFile: b.file("rules.yaml", rulesText), Registry: &policy.RegistryConfig{Mode: registry.Pin, Bucket: "devices"}})
	natstest.Eventually(t, "the id is pinned", func() bool { _, fail := b.decide(who{"i", "s1", "a"}); return fail == nil })
	natstest.Eventually(t, "the owner is in memory", func() bool { // explaining pins nothing
		request, err := wire.Encode(who{"i", "s1", "a"}.request())
		if err != nil {
			t.Fatal(err)
		}
		reply, fail := b.ask("auth.v1.policy.explain", request)
		return fail == nil && strings.Contains(string(reply), `"registered":`)
	})
	if err := b.ns.DisableJetStream(); err != nil {
		t.Fatal(err)
	}
	b.want(who{"i", "s1", "a"}, "a", 0)
	b.want(who{"i", "s2", "a"}, "", wire.DeviceIDTaken)
	b.want(who{"i", "s3", "new"}, "", wire.RegistryUnavailable)
	if wire.RegistryUnavailable.Class() != wire.Transient {
		t.Error("registry_unavailable is not transient")
	}
}

// TestRegistrySaysHowManyDevices: what was deleted, or cannot be read, is none of them.
func TestRegistrySaysHowManyDevices(t *testing.T) {
	b := newBench(t)
	kv := b.bucket("devices")
	for key, value := range map[string]string{
		registry.Key("a"): `{"issuer":"i","subject":"s1"}`, registry.Key("b"): `{"issuer":"i","subject":"s2"}`, registry.Key("c"): `{}`,
	} {
		if _, err := kv.PutString(t.Context(), key, value); err != nil {
			t.Fatal(err)
		}
	}
	if err := kv.Delete(t.Context(), registry.Key("b")); err != nil {
		t.Fatal(err)
	}
	b.start(policy.Config{PolicyFile: b.file("rules.yaml", rulesText), Registry: &policy.RegistryConfig{Mode: registry.Optional, Bucket: "devices"}})
	read := b.logs.FilterMessage("device registry read").All()
	if len(read) != 1 || read[0].ContextMap()["devices"] != int64(1) {
		t.Errorf("logged %v, want one device", read)
	}
}
