package rules

import (
	"fmt"
	"slices"
	"strings"
)

// The macros expand to the exact subjects of the JetStream API that a client library uses for them, and to no others
// (ADR-8 for key-value, ADR-20 for object stores, nats-server's jetstream_api.go). All answers come to the connection's
// inbox.

// grants collects what the macros of one rule stand for. at is the key that problems are reported at.
type grants struct {
	c                  *ruleCompiler
	publish, subscribe []*template
}

func (g *grants) pub(at, format string, args ...any) {
	g.publish = append(g.publish, g.c.template(at, fmt.Sprintf(format, args...), false)...)
}

func (g *grants) sub(at, format string, args ...any) {
	g.subscribe = append(g.subscribe, g.c.template(at, fmt.Sprintf(format, args...), false)...)
}

// macros reads the macros of the rule.
func (c *ruleCompiler) macros() *grants {
	g := &grants{c: c}
	for i := range c.text.KV {
		g.kv(fmt.Sprintf("%s.kv[%d]", c.key, i), &c.text.KV[i])
	}
	for i := range c.text.Streams {
		g.stream(fmt.Sprintf("%s.streams[%d]", c.key, i), &c.text.Streams[i])
	}
	for i := range c.text.Consumers {
		g.consumer(fmt.Sprintf("%s.consumers[%d]", c.key, i), &c.text.Consumers[i])
	}
	for i := range c.text.ObjectStores {
		g.objectStore(fmt.Sprintf("%s.object_stores[%d]", c.key, i), &c.text.ObjectStores[i])
	}
	if len(g.publish) > 0 && c.text.Inbox == "" {
		c.report.Errorf(c.key+".inbox", "is required beside kv, streams, consumers or object_stores: their answers come to the inbox")
	}
	if len(c.text.KV)+len(c.text.Consumers)+len(c.text.ObjectStores) > 0 {
		c.report.Warnf(c.key, "with kv, consumers or object_stores a device can have JetStream send what it stored to any subject of this account: NATS does not check where answers go; let no receiver here trust a message for its subject alone")
	}
	g.inbox()
	return g
}

func (g *grants) inbox() {
	at := g.c.key + ".inbox"
	switch g.c.text.Inbox {
	case "":
	case "shared":
		g.sub(at, "_INBOX.>")
	case "private":
		g.sub(at, "_INBOX_{%s}.>", deviceVariable)
	default:
		g.c.report.Errorf(at, "%q: must be private or shared", g.c.text.Inbox)
	}
}

func (g *grants) kv(at string, kv *KV) {
	if !g.named(at+".bucket", kv.Bucket) || !g.access(at+".access", kv.Access, "read", "write", "watch") {
		return
	}
	if len(kv.Keys) == 0 {
		g.c.report.Errorf(at+".keys", "is required: the keys, as {%s}.>", deviceVariable)
		return
	}
	if slices.Contains(kv.Access, "write") {
		g.lintWrite(at, kv)
	}
	g.pub(at, "$JS.API.STREAM.INFO.KV_%s", kv.Bucket)
	if slices.Contains(kv.Access, "watch") {
		// Deleting a consumer is not among it: a device could delete those of others by name. A client that ends a watch
		// is refused that, and the server removes the consumer by itself.
		if !strings.Contains(kv.Bucket, "{") {
			g.c.report.Warnf(at+".access", "whoever may watch can point any consumer of this bucket whose name it knows at its own keys; those of client libraries have names that cannot be guessed: make none with another on stream KV_%s", kv.Bucket)
		}
		g.pub(at, "$JS.FC.KV_%s.>", kv.Bucket)
	}
	for i, key := range kv.Keys {
		key, at := "$KV."+kv.Bucket+"."+key, fmt.Sprintf("%s.keys[%d]", at, i)
		if slices.Contains(kv.Access, "read") {
			g.pub(at, "$JS.API.DIRECT.GET.KV_%s.%s", kv.Bucket, key)
		}
		if slices.Contains(kv.Access, "write") {
			g.pub(at, "%s", key)
		}
		if slices.Contains(kv.Access, "watch") {
			g.pub(at, "$JS.API.CONSUMER.CREATE.KV_%s.*.%s", kv.Bucket, key)
		}
	}
}

// lintWrite reports what a permission cannot keep a writer from.
func (g *grants) lintWrite(at string, kv *KV) {
	if strings.Contains(kv.Bucket, "{") {
		return
	}
	// nats-server's stream.go, processJetStreamMsg: a rollup of all is a header, and the bucket's stream allows it.
	g.c.report.Warnf(at+".access", "whoever may write one key can empty the whole bucket with the header Nats-Rollup: all; forbid that on its stream (nats stream edit KV_%s --no-allow-rollup), or give each device a bucket of its own", kv.Bucket)
	for i, key := range kv.Keys {
		if !strings.Contains(key, "{") {
			g.c.report.Warnf(fmt.Sprintf("%s.keys[%d]", at, i), "the same for every device: they would write each other's; write {%s}", deviceVariable)
		}
	}
}

func (g *grants) stream(at string, s *Stream) {
	if len(s.Publish) == 0 {
		g.c.report.Errorf(at+".publish", "is required: the stream's subjects that the device may send to")
	}
	first := len(g.publish)
	for i, subject := range s.Publish {
		g.pub(fmt.Sprintf("%s.publish[%d]", at, i), "%s", subject)
	}
	g.c.lintSide("publish", g.publish[first:])
}

func (g *grants) consumer(at string, c *Consumer) {
	if !g.named(at+".stream", c.Stream) || !g.named(at+".name", c.Name) {
		return
	}
	if !strings.Contains(c.Name, "{") {
		g.c.report.Warnf(at+".name", "the same for every device: they would take each other's messages; write {%s}", deviceVariable)
	}
	g.pub(at, "$JS.API.CONSUMER.INFO.%s.%s", c.Stream, c.Name)
	g.pub(at, "$JS.API.CONSUMER.MSG.NEXT.%s.%s", c.Stream, c.Name)
	g.pub(at, "$JS.ACK.%s.%s.>", c.Stream, c.Name)
}

func (g *grants) objectStore(at string, o *ObjectStore) {
	if !g.named(at+".bucket", o.Bucket) || !g.access(at+".access", o.Access, "read", "write") {
		return
	}
	if !strings.Contains(o.Bucket, "{") {
		g.c.report.Warnf(at+".bucket", "the same for every device: each can read or write the objects of all; write {%s}", deviceVariable)
	}
	g.pub(at, "$JS.API.STREAM.INFO.OBJ_%s", o.Bucket)
	g.pub(at, "$JS.API.DIRECT.GET.OBJ_%s.$O.%s.M.>", o.Bucket, o.Bucket)
	if slices.Contains(o.Access, "read") {
		g.pub(at, "$JS.FC.OBJ_%s.>", o.Bucket)
		g.pub(at, "$JS.API.CONSUMER.DELETE.OBJ_%s.*", o.Bucket)
		g.pub(at, "$JS.API.CONSUMER.CREATE.OBJ_%s.*.$O.%s.C.*", o.Bucket, o.Bucket)
		g.pub(at, "$JS.API.CONSUMER.CREATE.OBJ_%s.*.$O.%s.M.>", o.Bucket, o.Bucket)
	}
	if slices.Contains(o.Access, "write") {
		g.pub(at, "$O.%s.>", o.Bucket)
		g.pub(at, "$JS.API.STREAM.PURGE.OBJ_%s", o.Bucket)
	}
}

// named reports a name that is not one token.
func (g *grants) named(at, name string) bool {
	if name == "" || strings.ContainsAny(name, ".*> ") {
		g.c.report.Errorf(at, "%q: must be one name", name)
		return false
	}
	return true
}

func (g *grants) access(at string, got []string, known ...string) bool {
	if len(got) == 0 {
		g.c.report.Errorf(at, "is required: a list of %s", strings.Join(known, ", "))
	}
	for i, a := range got {
		if !slices.Contains(known, a) {
			g.c.report.Errorf(fmt.Sprintf("%s[%d]", at, i), "%q: must be one of %s", a, strings.Join(known, ", "))
			return false
		}
	}
	return len(got) > 0
}
