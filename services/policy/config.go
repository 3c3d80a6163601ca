package policy

import (
	"harmony.internal/authcallout/shared/config"
	"harmony.internal/authcallout/shared/logx"
	"harmony.internal/authcallout/shared/natsx"
)

// Config is policy.yaml.
type Config struct {
	// NATS is the connection, in the callout's account.
	NATS natsx.Config `yaml:"nats"`
	// Log sets up logging.
	Log logx.Config `yaml:"log"`
	// PolicyFile is the rules file. It is watched: a good edit is in force within a second, a broken one is logged and
	// the last good one stays. Required.
	PolicyFile config.Path `yaml:"policy_file"`
	// MaxInFlight is how many decisions are made at once. Default 4096.
	MaxInFlight int `yaml:"max_in_flight"`
}

const defaultMaxInFlight = 4096

// SetDefaults fills what is zero.
func (c *Config) SetDefaults() {
	c.NATS.SetDefaults()
	if c.MaxInFlight == 0 {
		c.MaxInFlight = defaultMaxInFlight
	}
}

// Check reports what is wrong, in the rules file too.
func (c *Config) Check(r *config.Report) {
	c.NATS.Check("nats", r)
	c.Log.Check("log", r)
	if c.MaxInFlight < 1 || c.MaxInFlight > 1<<20 {
		r.Errorf("max_in_flight", "must lie between 1 and %d", 1<<20)
	}
	if c.PolicyFile == "" {
		r.Errorf("policy_file", "is required: the rules file")
		return
	}
	loaded, err := readRules(c.PolicyFile)
	if err != nil {
		r.Errorf("policy_file", "%v", err)
		return
	}
	for _, w := range loaded.warnings {
		r.Warnf("policy_file", "%v", w)
	}
}
