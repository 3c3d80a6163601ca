package registry

import (
	"fmt"
	"os"

	"harmony.internal/authcallout/services/policy/rules"
	"harmony.internal/authcallout/shared/config"
)

// File is a registry file.
type File struct {
	// Devices are the registered devices.
	Devices []FileEntry `yaml:"devices"`
}

// FileEntry is one device.
type FileEntry struct {
	// Issuer is the exact iss of the device's tokens. Required.
	Issuer string `yaml:"issuer"`
	// Subject is their sub. Required.
	Subject string `yaml:"subject"`
	// DeviceID is what the identity owns. Required, and different from the others'.
	DeviceID string `yaml:"device_id"`
	// Attributes are further values that a rule's variables may use, as registry:NAME.
	Attributes map[string]string `yaml:"attributes"`
}

// SetDefaults implements config.Checker; there are none.
func (*File) SetDefaults() {}

// Check reports what is wrong.
func (f *File) Check(r *config.Report) {
	devices, identities := map[string]bool{}, map[Identity]bool{}
	for i, e := range f.Devices {
		key, id := fmt.Sprintf("devices[%d]", i), Identity{e.Issuer, e.Subject}
		switch {
		case e.Issuer == "" || e.Subject == "" || e.DeviceID == "":
			r.Errorf(key, "issuer, subject and device_id are required")
		case devices[e.DeviceID]:
			r.Errorf(key+".device_id", "%q stands twice", e.DeviceID)
		case identities[id]:
			r.Errorf(key+".subject", "%q of this issuer stands twice", e.Subject)
		}
		devices[e.DeviceID], identities[id] = true, true
	}
}

// ReadFile reads a registry file once. The error is config.Problems unless the file cannot be read.
func ReadFile(file config.Path) ([]byte, error) {
	text, err := os.ReadFile(string(file))
	if err != nil {
		return nil, err
	}
	_, err = parseFile(file, text)
	return text, err
}

// maxFileBytes bounds a registry file: some 100,000 devices. A larger fleet belongs in a bucket.
const maxFileBytes = 16 << 20

func parseFile(file config.Path, text []byte) (*tables, error) {
	var f File
	if _, err := config.ParseUpTo(string(file), text, maxFileBytes, &f); err != nil {
		return nil, err
	}
	t := &tables{}
	for _, e := range f.Devices {
		t.put(&Entry{Identity{e.Issuer, e.Subject}, rules.Device{DeviceID: e.DeviceID, Attributes: e.Attributes}})
	}
	return t, nil
}

// Open returns the Registry of a file, read once.
func Open(mode Mode, file config.Path) (*Registry, error) {
	text, err := os.ReadFile(string(file))
	if err != nil {
		return nil, err
	}
	r := FromFile(mode)
	return r, r.Take(file, text)
}

// FromFile returns a Registry without entries; Take fills it. mode is Optional or Required.
func FromFile(mode Mode) *Registry { return &Registry{mode: mode} }

// Take puts the text of a registry file in force if it is good; what is in force stays otherwise.
func (r *Registry) Take(file config.Path, text []byte) error {
	t, err := parseFile(file, text)
	if err != nil {
		return err
	}
	r.current.Store(t)
	return nil
}
