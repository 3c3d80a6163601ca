package registry

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"harmony.internal/authcallout/services/policy/rules"
	"harmony.internal/authcallout/shared/config"
	"harmony.internal/authcallout/shared/wire"
)

var (
	alice = Identity{"https://id.example.com", "alice"}
	bob   = Identity{"https://id.example.com", "bob"}
	// foreign has the same sub at another issuer.
	foreign = Identity{"https://other.example.com", "alice"}
)

// filled has alice as owner of a, and pins by claim.
func filled(mode Mode, claim func(context.Context, Identity, string) (Identity, error)) *Registry {
	t := &tables{}
	t.put(&Entry{alice, rules.Device{DeviceID: "a", Attributes: map[string]string{"site": "berlin"}}})
	r := &Registry{mode: mode, claim: claim}
	r.current.Store(t)
	return r
}

func TestAdmit(t *testing.T) {
	owner := func(id Identity, err error) func(context.Context, Identity, string) (Identity, error) {
		return func(context.Context, Identity, string) (Identity, error) { return id, err }
	}
	never := func(context.Context, Identity, string) (Identity, error) {
		t.Error("the bucket was asked")
		return Identity{}, nil
	}
	const admitted = wire.Code(0)
	for _, tt := range []struct {
		name     string
		registry *Registry
		id       Identity
		device   string
		want     wire.Code
	}{
		{"off", nil, bob, "a", admitted},
		{"off, set", filled(Off, never), bob, "a", admitted},
		{"no device id", filled(Required, never), bob, "", admitted},
		{"optional, owner", filled(Optional, never), alice, "a", admitted},
		{"optional, another identity", filled(Optional, never), bob, "a", wire.DeviceIDTaken},
		{"optional, the same sub of another issuer", filled(Optional, never), foreign, "a", wire.DeviceIDTaken},
		{"optional, free", filled(Optional, never), bob, "b", admitted},
		{"optional, who is another device", filled(Optional, never), alice, "b", wire.DeviceIDTaken},
		{"required, owner", filled(Required, never), alice, "a", admitted},
		{"required, another identity", filled(Required, never), bob, "a", wire.DeviceIDTaken},
		{"required, free", filled(Required, never), bob, "b", wire.DeviceNotRegistered},
		{"pin, owner", filled(Pin, never), alice, "a", admitted},
		{"pin, another identity", filled(Pin, never), bob, "a", wire.DeviceIDTaken},
		{"pin, who is another device", filled(Pin, never), alice, "b", wire.DeviceIDTaken},
		{"pin, free", filled(Pin, owner(bob, nil)), bob, "b", admitted},
		{"pin, somebody was faster", filled(Pin, owner(foreign, nil)), bob, "b", wire.DeviceIDTaken},
		{"pin, another id was faster", filled(Pin, owner(Identity{}, errOther)), bob, "b", wire.DeviceIDTaken},
		{"pin, another claim is not finished", filled(Pin, owner(Identity{}, errPending)), bob, "b", wire.RegistryUnavailable},
		{"pin, no answer", filled(Pin, owner(Identity{}, errors.New("no responders"))), bob, "b", wire.RegistryUnavailable},
		{"not read yet", &Registry{mode: Optional}, alice, "a", wire.RegistryUnavailable},
	} {
		got := wire.Code(0)
		if fail := tt.registry.Admit(t.Context(), tt.id, tt.device); fail != nil {
			got = fail.Code
		}
		if got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestLookup(t *testing.T) {
	if d, fail := filled(Required, nil).Lookup(alice); fail != nil || d == nil || d.DeviceID != "a" || d.Attributes["site"] != "berlin" {
		t.Errorf("%+v %v", d, fail)
	}
	for _, r := range []*Registry{nil, filled(Off, nil), filled(Required, nil)} {
		if d, fail := r.Lookup(foreign); fail != nil || d != nil {
			t.Errorf("%+v %v", d, fail)
		}
	}
	if _, fail := (&Registry{mode: Pin}).Lookup(alice); fail == nil || fail.Code != wire.RegistryUnavailable {
		t.Errorf("%v", fail)
	}
}

// TestTables: an entry that changes its owner, or an owner that gets another id, leaves nothing behind.
func TestTables(t *testing.T) {
	r := filled(Optional, nil)
	entries := r.current.Load()
	entries.put(&Entry{bob, rules.Device{DeviceID: "a"}})
	for _, tt := range []struct {
		id   Identity
		want wire.Code
	}{{bob, 0}, {alice, wire.DeviceIDTaken}} {
		if fail := r.Would(tt.id, "a"); (fail == nil) != (tt.want == 0) || (fail != nil && fail.Code != tt.want) {
			t.Errorf("%v: %v", tt.id, fail)
		}
	}
	if fail := r.Would(alice, "free"); fail != nil {
		t.Errorf("who lost its id may have a free one: %v", fail)
	}
	entries.remove("a")
	if fail := r.Would(alice, "a"); fail != nil {
		t.Errorf("an id that was freed: %v", fail)
	}
}

// TestOwnedIDIsNeverFree: while the entry of a device is written again nobody else can have its id, not for a moment.
func TestOwnedIDIsNeverFree(t *testing.T) {
	r := filled(Optional, nil)
	entries := r.current.Load()
	ctx, cancel := context.WithCancel(t.Context())
	var writing sync.WaitGroup
	writing.Go(func() {
		for ctx.Err() == nil {
			entries.put(&Entry{alice, rules.Device{DeviceID: "a"}})
			entries.block("a")
		}
	})
	for range 100_000 {
		if fail := r.Would(bob, "a"); fail == nil || fail.Code != wire.DeviceIDTaken {
			t.Errorf("another identity: %v, want %v", fail, wire.DeviceIDTaken)
			break
		}
	}
	cancel()
	writing.Wait()
}

func TestFile(t *testing.T) {
	const good = "devices:\n  - {issuer: i, subject: s, device_id: a, attributes: {site: berlin}}\n"
	for _, tt := range []struct{ name, text, want string }{
		{"good", good, ""},
		{"none", "devices: []\n", ""},
		{"unknown key", "devices:\n  - {issuer: i, subject: s, device_id: a, site: x}\n", "2:43: devices[0].site"},
		{"without subject", "devices:\n  - {issuer: i, device_id: a}\n", "2:5: devices[0]: issuer, subject and device_id are required"},
		{"an id twice", good + "  - {issuer: i, subject: t, device_id: a}\n", `3:29: devices[1].device_id: "a" stands twice`},
		{"an identity twice", good + "  - {issuer: i, subject: s, device_id: b}\n", `3:17: devices[1].subject: "s" of this issuer stands twice`},
		{"not YAML", "devices: [", "r.yaml"},
	} {
		_, err := parseFile("r.yaml", []byte(tt.text))
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: got %v, want %q", tt.name, err, tt.want)
		}
	}
}

// TestLargeFile is 10,000 devices with long names.
func TestLargeFile(t *testing.T) {
	var text strings.Builder
	text.WriteString("devices:\n")
	for i := range 10_000 {
		fmt.Fprintf(&text, "  - {issuer: 'https://zitadel.example.com', subject: '4009386724147%05d', device_id: device-%05d, attributes: {site: berlin, line: '%d'}}\n", i, i, i%7)
	}
	file := filepath.Join(t.TempDir(), "devices.yaml")
	if err := os.WriteFile(file, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := Open(Required, config.Path(file))
	if err != nil {
		t.Fatal(err)
	}
	id := Identity{"https://zitadel.example.com", "400938672414709999"}
	if d, fail := r.Lookup(id); fail != nil || d == nil || d.DeviceID != "device-09999" || r.Would(id, "device-09999") != nil {
		t.Errorf("%+v %v", d, fail)
	}
}

func TestEntries(t *testing.T) {
	for _, tt := range []struct {
		key, value, device string
		ok                 bool
	}{
		{"id.a", `{"issuer":"i","subject":"s"}`, "a", true},
		{"b64.WsO8cmljaA", `{"issuer":"i","subject":"s"}`, "Zürich", true},
		{"b64.YQ", `{"issuer":"i","subject":"s"}`, "", false}, // a has another key
		{"a", `{"issuer":"i","subject":"s"}`, "", false},
		{"id.", `{"issuer":"i","subject":"s"}`, "", false},
		{"id.a", `{"issuer":"i"}`, "", false},
		{"id.a", `{"issuer":"","subject":"s"}`, "", false},
		{"id.a", `[]`, "", false},
		{"id.a", `{"issuer":"i","subject":"s","SUBJECT":"t"}`, "", false},
		{"id.a", `{"issuer":"i","subject":"s","subject":"t"}`, "", false},
		{"id.a", `{"issuer":"i","subject":"s","attributes":{"x":1}}`, "", false},
		{"id.a", `{"issuer":"i","subject":"s","attributes":{"x":"` + strings.Repeat("y", maxRecordBytes) + `"}}`, "", false},
	} {
		e, err := parseEntry(tt.key, []byte(tt.value))
		if (err == nil) != tt.ok || err == nil && e.DeviceID != tt.device {
			t.Errorf("%s %.60s: %+v %v", tt.key, tt.value, e, err)
		}
	}
}

// TestSeveralDevicesOfOneIdentity: a bucket can give an identity several. The entry written last counts, and when it goes the one
// before does, as for a replica that reads the bucket then for the first time.
func TestSeveralDevicesOfOneIdentity(t *testing.T) {
	r := filled(Optional, nil)
	entries := r.current.Load()
	is := func(want string) {
		t.Helper()
		d, fail := r.Lookup(alice)
		if fail != nil {
			t.Fatal(fail)
		}
		got := ""
		if d != nil {
			got = d.DeviceID
		}
		if got != want {
			t.Errorf("alice is %q, want %q", got, want)
		}
	}
	is("a")
	entries.put(&Entry{alice, rules.Device{DeviceID: "b"}})
	is("b")
	entries.put(&Entry{alice, rules.Device{DeviceID: "a"}}) // written again
	is("a")
	entries.remove("a")
	is("b")
	entries.put(&Entry{alice, rules.Device{DeviceID: "c"}})
	entries.put(&Entry{bob, rules.Device{DeviceID: "c"}}) // given to another
	is("b")
	entries.block("b")
	is("")
}
