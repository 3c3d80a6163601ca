package command

import (
	"time"

	"harmony.internal/authcallout/services/policy/registry"
	"harmony.internal/authcallout/services/policy/rules"
	"harmony.internal/authcallout/shared/config"
	"harmony.internal/authcallout/shared/wire"
)

// devicesFlag names a device registry, for commands that decide as the service would.
type devicesFlag struct{ file, mode *string }

func (c *call) registryFlag() devicesFlag {
	return devicesFlag{
		file: c.flags.String("registry", "", "the device registry, a `FILE` as registry.file of policy.yaml; default: nothing is registered"),
		mode: c.flags.String("registry-mode", string(registry.Optional), "registry.mode of policy.yaml; pin pins nothing here"),
	}
}

// devices is a registry with the time of the command.
type devices struct {
	*registry.Registry
	now time.Time
}

func (f devicesFlag) open() (*devices, error) {
	d := &devices{now: time.Now()}
	if *f.file == "" {
		return d, nil
	}
	var err error
	d.Registry, err = registry.Open(registry.Mode(*f.mode), config.Path(*f.file))
	return d, err
}

func (d *devices) context(q *wire.DecideRequest) (rules.Context, *wire.Error) {
	known, fail := d.Lookup(identity(q))
	return rules.Context{Now: d.now, Device: known}, fail
}

// would says why q may not be the device.
func (d *devices) would(q *wire.DecideRequest, device string) *wire.Error {
	return d.Would(identity(q), device)
}

func identity(q *wire.DecideRequest) registry.Identity {
	return registry.Identity{Issuer: q.Token.Issuer, Subject: q.Token.Subject}
}
