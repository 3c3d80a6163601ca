package policy

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"regexp"

	"harmony.internal/authcallout/services/policy/registry"
	"harmony.internal/authcallout/services/policy/rules"
	"harmony.internal/authcallout/shared/config"
	"harmony.internal/authcallout/shared/logx"
	"harmony.internal/authcallout/shared/monitor"
	"harmony.internal/authcallout/shared/natsx"
)

// Config is policy.yaml.
type Config struct {
	// NATS is the connection, in the callout's account.
	NATS natsx.Config `yaml:"nats"`
	// Log sets up logging.
	Log logx.Config `yaml:"log"`
	// Monitor is where metrics and health are.
	Monitor monitor.Config `yaml:"monitor"`
	// PolicyFile is the rules file. It is watched: a good edit is in force within a second, a broken one is logged and
	// the last good one stays. It or policy_kv is required.
	PolicyFile config.Path `yaml:"policy_file"`
	// PolicyKV is the rules in a JetStream key-value bucket, in place of policy_file. `policy put` writes them.
	PolicyKV *KVConfig `yaml:"policy_kv"`
	// LastGoodFile keeps the text in force, so that it survives a restart while the rules are broken or the bucket cannot
	// be reached. Default: not kept.
	LastGoodFile config.Path `yaml:"last_good_file"`
	// ShadowFile is a rules file that is tried on every decision and decides none: what it would change is counted in
	// `nats micro stats policy` and logged in samples. Watched. Default: none.
	ShadowFile config.Path `yaml:"shadow_file"`
	// Registry says which identity owns which device id. Default: none is looked at.
	Registry *RegistryConfig `yaml:"registry"`
	// MaxInFlight is how many decisions are made at once. A request of 6 KiB or more counts as several, one more for each 6 KiB. Default
	// 4096.
	MaxInFlight int `yaml:"max_in_flight"`
}

// RegistryConfig is the device registry.
type RegistryConfig struct {
	// Mode is optional, required or pin. In each a registered id belongs to its identity alone. optional lets others use
	// ids that nobody registered; required admits no device that is not registered; pin gives a free id to the first
	// identity that claims it, for good, and needs bucket. Required.
	Mode registry.Mode `yaml:"mode"`
	// File is a list of devices. Watched.
	File config.Path `yaml:"file"`
	// Bucket is a JetStream key-value bucket in the services' account, in place of file. No device may share that account: who
	// may have JetStream answer there can write the bucket. It is not made here. A key is id.DEVICE, a value
	// {"issuer": ISS, "subject": SUB, "attributes": {NAME: TEXT}}; keys by.HASH are of mode pin itself.
	Bucket string `yaml:"bucket"`
}

const defaultMaxInFlight = 4096

// DefaultKey is policy_kv.key unless it is set.
const DefaultKey = "rules"

// SetDefaults fills what is zero.
func (c *Config) SetDefaults() {
	c.NATS.SetDefaults()
	if c.MaxInFlight == 0 {
		c.MaxInFlight = defaultMaxInFlight
	}
	if c.PolicyKV != nil && c.PolicyKV.Key == "" {
		c.PolicyKV.Key = DefaultKey
	}
}

// Check reports what is wrong, in the files that it names too.
func (c *Config) Check(r *config.Report) {
	c.NATS.Check("nats", r)
	c.Log.Check("log", r)
	c.Monitor.Check("monitor", r)
	if c.MaxInFlight < 1 || c.MaxInFlight > 1<<20 {
		r.Errorf("max_in_flight", "must lie between 1 and %d", 1<<20)
	}
	c.checkSource(r)
	if c.ShadowFile != "" {
		if _, err := c.readRules(c.ShadowFile); err != nil {
			r.Errorf("shadow_file", "%v", err)
		}
	}
	if c.Registry != nil {
		c.Registry.check("registry", r)
	}
}

var (
	bucketName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)
	keyName    = regexp.MustCompile(`^[A-Za-z0-9_=/-]+(\.[A-Za-z0-9_=/-]+)*$`)
)

func (c *Config) checkSource(r *config.Report) {
	switch {
	case c.PolicyFile == "" && c.PolicyKV == nil:
		r.Errorf("policy_file", "is required: the rules file; or policy_kv")
	case c.PolicyFile != "" && c.PolicyKV != nil:
		r.Errorf("policy_kv", "and policy_file are set together; choose one")
	case c.PolicyKV != nil:
		if !bucketName.MatchString(c.PolicyKV.Bucket) {
			r.Errorf("policy_kv.bucket", "%q: must be letters, digits, '_' or '-'", c.PolicyKV.Bucket)
		}
		if !keyName.MatchString(c.PolicyKV.Key) {
			r.Errorf("policy_kv.key", "%q is no key", c.PolicyKV.Key)
		}
		if c.LastGoodFile == "" {
			r.Warnf("last_good_file", "is not set: a replica that starts while the bucket cannot be reached has no policy, and admits nobody")
		}
	default:
		c.checkFile(r)
	}
}

// checkFile judges the rules file. A broken one is no error where the last good one can stand in for it.
func (c *Config) checkFile(r *config.Report) {
	warnings, err := c.readRules(c.PolicyFile)
	for _, w := range warnings {
		r.Warnf("policy_file", "%v", w)
	}
	if err == nil {
		return
	}
	if c.LastGoodFile != "" {
		if _, lastErr := c.readRules(c.LastGoodFile); lastErr == nil {
			r.Warnf("policy_file", "%v: last_good_file stands in for it", err)
			return
		}
	}
	r.Errorf("policy_file", "%v", err)
}

// hash names the configuration, so that replicas can be compared. Secrets are not in it: the configuration holds only the
// names of their files. Where a replica logs and listens is its own affair.
func (c *Config) hash() string {
	common := *c
	common.Log, common.Monitor = logx.Config{}, monitor.Config{}
	text, err := json.Marshal(common)
	if err != nil {
		return "unknown"
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8])
}

// system is what of the services a rule could give away.
func (c *Config) system() rules.System {
	s := rules.System{SubjectPrefix: c.NATS.SubjectPrefix}
	if c.PolicyKV != nil {
		s.Buckets = append(s.Buckets, c.PolicyKV.Bucket)
	}
	if c.Registry != nil && c.Registry.Bucket != "" {
		s.Buckets = append(s.Buckets, c.Registry.Bucket)
	}
	return s
}

func (c *Config) readRules(file config.Path) (config.Problems, error) {
	text, err := os.ReadFile(string(file))
	if err != nil {
		return nil, err
	}
	_, warnings, err := c.system().Compile(string(file), text)
	return warnings, err
}

func (c *RegistryConfig) check(key string, r *config.Report) {
	switch c.Mode {
	case registry.Optional, registry.Required:
	case registry.Pin:
		if c.Bucket == "" {
			r.Errorf(key+".bucket", "is required with mode pin: owners are written to it")
		}
	default:
		r.Errorf(key+".mode", "%q: must be optional, required or pin", c.Mode)
	}
	switch {
	case (c.File == "") == (c.Bucket == ""):
		r.Errorf(key, "file or bucket is required, and not both")
	case c.Bucket != "" && !bucketName.MatchString(c.Bucket):
		r.Errorf(key+".bucket", "%q: must be letters, digits, '_' or '-'", c.Bucket)
	case c.File != "":
		if _, err := registry.ReadFile(c.File); err != nil {
			r.Errorf(key+".file", "%v", err)
		}
	}
}
