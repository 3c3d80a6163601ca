package registry

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"

	"harmony.internal/authcallout/services/policy/rules"
	"harmony.internal/authcallout/shared/wire"
)

// Mode says who may use a device id.
type Mode string

// Modes. In each of them an id that is registered belongs to its identity alone.
const (
	// Off looks at no registry.
	Off Mode = ""
	// Optional lets an identity that is not registered use an id that is not.
	Optional Mode = "optional"
	// Required admits nobody to a device id but the identity that is registered for it.
	Required Mode = "required"
	// Pin gives an id that nobody owns to the first identity that claims it, for good.
	Pin Mode = "pin"
)

// Identity is who a token is about.
type Identity struct{ Issuer, Subject string }

// Entry is one registered device.
type Entry struct {
	Identity
	rules.Device
}

// tables are the two ways into the entries. Reading takes no lock and is safe beside one goroutine that writes.
type tables struct {
	byIdentity sync.Map // Identity -> []*rules.Device, never empty, the one written last at the end; a stored one does not change
	byDevice   sync.Map // device id -> Identity
}

// put registers e. A device id that has an owner is never without one in between: somebody else could be admitted to it.
func (t *tables) put(e *Entry) {
	t.own(e.DeviceID, e.Identity)
	t.byIdentity.Store(e.Identity, append(t.others(e.Identity, e.DeviceID), &e.Device))
}

// block keeps a device id from everybody.
func (t *tables) block(deviceID string) { t.own(deviceID, Identity{}) }

// own gives a device id to an identity and takes it from the one before.
func (t *tables) own(deviceID string, id Identity) {
	if before, ok := t.byDevice.Swap(deviceID, id); ok && before != id {
		t.disown(before.(Identity), deviceID)
	}
}

func (t *tables) remove(deviceID string) {
	if owner, ok := t.byDevice.LoadAndDelete(deviceID); ok {
		t.disown(owner.(Identity), deviceID)
	}
}

// disown forgets that an identity is this device.
func (t *tables) disown(owner Identity, deviceID string) {
	if others := t.others(owner, deviceID); len(others) > 0 {
		t.byIdentity.Store(owner, others)
	} else {
		t.byIdentity.Delete(owner)
	}
}

// others are the devices of an identity but for one, in a slice of its own. A bucket that somebody else writes may give it several.
func (t *tables) others(id Identity, deviceID string) []*rules.Device {
	all, _ := t.byIdentity.Load(id)
	devices, _ := all.([]*rules.Device)
	return slices.DeleteFunc(slices.Clone(devices), func(d *rules.Device) bool { return d.DeviceID == deviceID })
}

// Registry answers from memory. Safe for concurrent use. A nil one is Off.
type Registry struct {
	mode    Mode
	current atomic.Pointer[tables] // nil until the entries were read for the first time
	// claim gives a free device id to an identity that has none and returns the id's owner, who may be another. It fails with
	// errOther for an identity that has one; any other error is transient. nil but for Pin.
	claim func(ctx context.Context, id Identity, device string) (Identity, error)
}

// Lookup returns what is registered for an identity, nil if nothing is, and of several entries the one written last. It fails
// with RegistryUnavailable while nothing is known yet.
func (r *Registry) Lookup(id Identity) (*rules.Device, *wire.Error) {
	if r == nil || r.mode == Off {
		return nil, nil
	}
	t := r.current.Load()
	if t == nil {
		return nil, wire.Fail(wire.RegistryUnavailable, "not read yet", nil)
	}
	if all, ok := t.byIdentity.Load(id); ok {
		devices := all.([]*rules.Device)
		return devices[len(devices)-1], nil
	}
	return nil, nil
}

// Admit says whether id may be the device; with Pin it may become its owner by that. An empty device is nobody's. It
// fails with DeviceIDTaken, DeviceNotRegistered or RegistryUnavailable.
func (r *Registry) Admit(ctx context.Context, id Identity, device string) *wire.Error {
	known, fail := r.judge(id, device)
	if known || fail != nil || r.mode != Pin {
		return fail
	}
	owner, err := r.claim(ctx, id, device)
	switch {
	case errors.Is(err, errOther):
		return wire.Fail(wire.DeviceIDTaken, errOther.Error(), nil)
	case err != nil:
		return wire.Fail(wire.RegistryUnavailable, "", err)
	case owner != id:
		return wire.Fail(wire.DeviceIDTaken, "", nil)
	}
	// The tables are filled by the bucket's own order of events alone: an entry deleted meanwhile must not come back.
	return nil
}

// Would is Admit without becoming an owner.
func (r *Registry) Would(id Identity, device string) *wire.Error {
	_, fail := r.judge(id, device)
	return fail
}

// judge says what memory knows; known is false when the device has no owner yet and id may be it or become it.
func (r *Registry) judge(id Identity, device string) (known bool, fail *wire.Error) {
	if r == nil || r.mode == Off || device == "" {
		return true, nil
	}
	t := r.current.Load()
	if t == nil {
		return false, wire.Fail(wire.RegistryUnavailable, "not read yet", nil)
	}
	if owner, ok := t.byDevice.Load(device); ok {
		if owner == id {
			return true, nil
		}
		return false, wire.Fail(wire.DeviceIDTaken, "", nil)
	}
	if _, ok := t.byIdentity.Load(id); ok {
		return false, wire.Fail(wire.DeviceIDTaken, errOther.Error(), nil)
	}
	if r.mode == Required {
		return false, wire.Fail(wire.DeviceNotRegistered, "", nil)
	}
	return false, nil
}
