package registry

import (
	"fmt"
	"testing"

	"harmony.internal/authcallout/services/policy/rules"
)

// BenchmarkRegistry is what one decision costs at a registry of 10,000 devices.
func BenchmarkRegistry(b *testing.B) {
	r, t := FromFile(Required), &tables{}
	for i := range 10_000 {
		t.put(&Entry{Identity{"https://id.example.com", fmt.Sprint(i)}, rules.Device{DeviceID: fmt.Sprintf("device-%d", i)}})
	}
	r.current.Store(t)
	id := Identity{"https://id.example.com", "9999"}
	b.ReportAllocs()
	for b.Loop() {
		d, fail := r.Lookup(id)
		if fail != nil || d == nil {
			b.Fatal(fail)
		}
		if fail := r.Admit(b.Context(), id, d.DeviceID); fail != nil {
			b.Fatal(fail)
		}
	}
}

// FuzzKey: every device id has one key, and every key that is taken names one device.
func FuzzKey(f *testing.F) {
	for _, s := range []string{"a", "Zürich", "a.b", "", "id.a", "b64.YQ", "b64."} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if s != "" {
			if back, err := deviceOf(Key(s)); err != nil || back != s {
				t.Fatalf("%q: %q %v", s, back, err)
			}
		}
		if device, err := deviceOf(s); err == nil && Key(device) != s {
			t.Fatalf("key %q and %q both name %q", s, Key(device), device)
		}
	})
}
