package registry

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"harmony.internal/authcallout/services/policy/bucket"
	"harmony.internal/authcallout/services/policy/rules"
	"harmony.internal/authcallout/shared/strictjson"
)

// record is a bucket's value. Its key names the device.
type record struct {
	Issuer     string            `json:"issuer"`
	Subject    string            `json:"subject"`
	Attributes map[string]string `json:"attributes,omitempty"`
}

var plainKey = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

// Key returns the bucket's key for a device: id.DEVICE, or b64.BASE64URL where a key cannot hold the id as it is.
func Key(device string) string {
	if plainKey.MatchString(device) {
		return "id." + device
	}
	return "b64." + base64.RawURLEncoding.EncodeToString([]byte(device))
}

// deviceOf reads a key; every device has exactly one.
func deviceOf(key string) (string, error) {
	kind, text, _ := strings.Cut(key, ".")
	device := text
	if kind == "b64" {
		raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
		if err != nil {
			return "", err
		}
		device = string(raw)
	}
	if Key(device) != key || text == "" {
		return "", fmt.Errorf("key %q: must be id.DEVICE, or b64. and the device id in base64url", key)
	}
	return device, nil
}

// maxRecordBytes bounds one value.
const maxRecordBytes = 16 << 10

var recordLimits = strictjson.Limits{MaxBytes: maxRecordBytes, MaxDepth: 2, MaxMembers: maxRecordBytes}

func parseEntry(key string, value []byte) (*Entry, error) {
	device, err := deviceOf(key)
	if err != nil {
		return nil, err
	}
	var r record
	if err := strictjson.CheckObject(value, recordLimits, "issuer", "subject", "attributes"); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(value, &r); err != nil {
		return nil, err
	}
	if r.Issuer == "" || r.Subject == "" {
		return nil, errors.New("issuer and subject are required")
	}
	return &Entry{Identity{r.Issuer, r.Subject}, rules.Device{DeviceID: device, Attributes: r.Attributes}}, nil
}

// Bucket is a registry in a key-value bucket, kept in memory by a watch.
type Bucket struct {
	*Registry
	name string
	js   jetstream.JetStream
	log  *zap.Logger
	read chan struct{}
	once sync.Once
}

// Read is closed when the entries are there.
func (b *Bucket) Read() <-chan struct{} { return b.read }

// FromBucket returns the registry of a bucket; Run fills it.
func FromBucket(mode Mode, js jetstream.JetStream, name string, log *zap.Logger) *Bucket {
	b := &Bucket{Registry: &Registry{mode: mode}, name: name, js: js, log: log, read: make(chan struct{})}
	b.claim = b.own
	return b
}

// Run keeps the entries up to date until ctx ends. While the bucket cannot be reached what was known stays.
func (b *Bucket) Run(ctx context.Context) {
	var t *tables
	count := 0
	(&bucket.Follower{
		JS: b.js, Bucket: b.name, Keys: jetstream.AllKeys, Log: b.log,
		Begin: func() { t, count = &tables{}, 0 },
		Each: func(e jetstream.KeyValueEntry) {
			if e == nil {
				b.current.Store(t)
				b.log.Info("device registry read", zap.String("bucket", b.name), zap.Int("devices", count))
				b.once.Do(func() { close(b.read) })
				return
			}
			if strings.HasPrefix(e.Key(), markerPrefix) {
				return // an entry says the same, and more
			}
			if b.apply(t, e) {
				count++
			}
		},
	}).Run(ctx)
}

// apply takes one change over, and reports whether it registers a device.
func (b *Bucket) apply(t *tables, e jetstream.KeyValueEntry) bool {
	if e.Operation() != jetstream.KeyValuePut {
		if device, err := deviceOf(e.Key()); err == nil {
			t.remove(device)
		}
		return false
	}
	entry, err := parseEntry(e.Key(), e.Value())
	if err != nil {
		b.log.Error("an entry of the device registry is broken; it is left out, and its device id stays taken", zap.String("key", e.Key()), zap.Error(err))
		if device, err := deviceOf(e.Key()); err == nil {
			t.block(device)
		}
		return false
	}
	t.put(entry)
	return true
}

// own is claimer.claim on the bucket as it is now.
func (b *Bucket) own(ctx context.Context, id Identity, device string) (Identity, error) {
	keys, err := openStream(ctx, b.js, b.name)
	if err != nil {
		return Identity{}, err
	}
	owner, err := claimer{keys, time.Now}.claim(ctx, id, device)
	if err == nil && owner == id {
		b.log.Info("device id pinned to its first owner", zap.String("device", device), zap.String("issuer", id.Issuer), zap.String("subject", id.Subject))
	}
	return owner, err
}
