package rules

import (
	"time"

	"harmony.internal/authcallout/shared/config"
)

// Text is a rules file as it is written.
type Text struct {
	// Variables are values taken from a token's claims, its TLS certificate or the device registry, by name. A subject
	// refers to one as {name}, a condition as vars.name.
	Variables map[string]Variable `yaml:"variables"`
	// Rules are tried in this order; the first whose condition holds makes the grant. Without one the login is denied.
	Rules []Rule `yaml:"rules"`

	system   System
	compiled *Policy
}

// Variable is one literal subject token, or with list several.
type Variable struct {
	// From are origins; the first that has a value is taken, and a bad value is not passed over for one further on. A word
	// is a claim; one with dots that is no claim itself leads into objects. tls:dns, tls:uri, tls:email and tls:sha256 are
	// of the certificate that the server verified. registry:device_id and registry:NAME are of the device registry.
	// metadata:NAME is of the user's metadata at the provider, decoded; on Zitadel a user can write its own.
	// untrusted:client_name, untrusted:user and untrusted:mqtt_client_id are what the client itself chose, and prove
	// nothing. Required.
	From []string `yaml:"from"`
	// List takes every element of a list, each a literal token. A subject with such a variable stands for one subject for
	// each element. Default false: a list is refused.
	List bool `yaml:"list"`
	// MaxItems is the longest list accepted. Default 32, at most 256.
	MaxItems int `yaml:"max_items"`
	// Base64URL decodes the value first. metadata:NAME is decoded already. Default false.
	Base64URL bool `yaml:"base64url"`
	// StripPrefix is taken off the value's front if it is there, after decoding.
	StripPrefix string `yaml:"strip_prefix"`
	// Lower turns the value into lower case, after strip_prefix. Default false.
	Lower bool `yaml:"lower"`
	// Pattern is a regular expression (RE2) that the whole value must match. Default: any literal token.
	Pattern string `yaml:"pattern"`
	// MaxLength is the longest value accepted, in bytes. Default 128, which is also the most.
	MaxLength int `yaml:"max_length"`
}

// Rule is one way to be admitted.
type Rule struct {
	// Name is what records and explanations call the rule. Required, and different from the others'.
	Name string `yaml:"name"`
	// When is a CEL expression over claims, roles, issuer, subject, client and vars; the rule applies when it is true.
	// Write "true" for every verified token. An expression that fails denies the login: test with has() what may be
	// missing.
	When string `yaml:"when"`
	// Account is the NATS account's name. Default: that of callout.yaml.
	Account string `yaml:"account"`
	// Publish is what the connection may send. Without an allow list it may send nothing.
	Publish *Side `yaml:"publish"`
	// Subscribe is what the connection may receive. Without an allow list it may receive nothing.
	Subscribe *Side `yaml:"subscribe"`
	// AllowResponses lets the connection answer requests that it received, on whatever subject they name, a denied one too. So
	// the rule may not publish on what it subscribes to, and callout leaves it out for a connection that could ask itself.
	// Default: not at all.
	AllowResponses *Responses `yaml:"allow_responses"`
	// Inbox lets the connection receive the answers to its own requests. private gives _INBOX_{device_id}.> and nothing of
	// others: the client must set its inbox prefix to _INBOX_ and the device id. shared gives _INBOX.>, in which every
	// device of the account can listen to the others' answers. Default: none.
	Inbox string `yaml:"inbox"`
	// KV gives keys of key-value buckets.
	KV []KV `yaml:"kv"`
	// Streams gives publishing into JetStream streams with acknowledgement.
	Streams []Stream `yaml:"streams"`
	// Consumers gives pull consumers that somebody else made, one device each.
	Consumers []Consumer `yaml:"consumers"`
	// ObjectStores gives whole object stores: NATS cannot divide one among devices.
	ObjectStores []ObjectStore `yaml:"object_stores"`
	// Broad allows what the linter refuses otherwise: a subject that begins with a wildcard, or with $ as the server's own
	// do, or allow_responses where the rule itself may ask. Default false.
	Broad bool `yaml:"broad"`
	// SourceNetworks are the networks that the client must come from, as 10.0.0.0/8 or one address. Behind a proxy that is
	// the proxy's address. Default: any.
	SourceNetworks []string `yaml:"source_networks"`
	// ConnectionTypes are nats, mqtt, websocket and leafnode, which is a whole server that joins the account. Default: all but
	// leafnode.
	ConnectionTypes []string `yaml:"connection_types"`
	// MQTTClientID is which client id an MQTT client must come with: device_id, or any. nats-server keeps MQTT sessions by
	// client id, so that with any a device can end the connection of another in its account and take its session over.
	// A rule without the variable device_id, and a client without a client id, need any. Default device_id.
	MQTTClientID string `yaml:"mqtt_client_id"`
	// Hours are when the rule admits; a session ends when they do. Default: always.
	Hours *Hours `yaml:"hours"`
	// MaxSession bounds the session besides the token's own end. A change of the rules reaches a connected device when its
	// session ends, so this is also how long the old rules can last. Default: no further bound.
	MaxSession time.Duration `yaml:"max_session"`
}

// Side is one direction. A subscribe subject may name a queue group after a space.
type Side struct {
	// Allow are subjects, with {variable} in them, wildcards allowed.
	Allow []string `yaml:"allow"`
	// Deny are subjects taken out of what allow gives.
	Deny []string `yaml:"deny"`
}

// Responses bounds answers to requests.
type Responses struct {
	// Max is how many messages may answer one request. Default 1.
	Max int `yaml:"max"`
	// TTL is for how long after the request. Default 5s.
	TTL time.Duration `yaml:"ttl"`
}

// Hours is a part of the day.
type Hours struct {
	// From is the beginning, as 08:00. Required.
	From string `yaml:"from"`
	// To is the end, as 18:00, not itself included. Before from it is of the next day. Required.
	To string `yaml:"to"`
	// Days are mon, tue, wed, thu, fri, sat and sun: on which from lies. Default: all.
	Days []string `yaml:"days"`
	// TimeZone is a name of the IANA database, as Europe/Berlin. Default UTC.
	TimeZone string `yaml:"time_zone"`
}

// KV is a part of a key-value bucket.
type KV struct {
	// Bucket is its name. Required.
	Bucket string `yaml:"bucket"`
	// Keys are the keys, with {variable} in them, wildcards allowed. Required.
	Keys []string `yaml:"keys"`
	// Access is a list of read, write and watch. watch lets the device make consumers of these keys. Required.
	Access []string `yaml:"access"`
}

// Stream is publishing into a stream.
type Stream struct {
	// Publish are the stream's subjects that the device may send to. Required.
	Publish []string `yaml:"publish"`
}

// Consumer is a pull consumer for this device alone.
type Consumer struct {
	// Stream is the stream's name. Required.
	Stream string `yaml:"stream"`
	// Name is the consumer's, with {variable} in it. Required.
	Name string `yaml:"name"`
}

// ObjectStore is a bucket of objects.
type ObjectStore struct {
	// Bucket is its name, with {variable} in it where each device has its own. Required.
	Bucket string `yaml:"bucket"`
	// Access is a list of read and write. Required.
	Access []string `yaml:"access"`
}

const (
	defaultMaxLength    = 128
	defaultMaxItems     = 32
	mostItems           = 256
	defaultResponses    = 1
	defaultResponsesTTL = 5 * time.Second
	// maxSubjects bounds one side of a rule: nats-server keeps every subject for each connection.
	maxSubjects = 512
	maxRules    = 2000
)

// SetDefaults fills what is zero.
func (t *Text) SetDefaults() {
	for name, v := range t.Variables {
		if v.MaxLength == 0 {
			v.MaxLength = defaultMaxLength
		}
		if v.MaxItems == 0 {
			v.MaxItems = defaultMaxItems
		}
		t.Variables[name] = v
	}
	for i := range t.Rules {
		if r := t.Rules[i].AllowResponses; r != nil {
			if r.Max == 0 {
				r.Max = defaultResponses
			}
			if r.TTL == 0 {
				r.TTL = defaultResponsesTTL
			}
		}
	}
}

// Check compiles the text and reports what is wrong with it.
func (t *Text) Check(r *config.Report) { t.compiled = compile(t, r) }
