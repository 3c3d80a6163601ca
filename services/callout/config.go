package callout

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"regexp"
	"time"

	"github.com/nats-io/nkeys"

	"harmony.internal/authcallout/shared/config"
	"harmony.internal/authcallout/shared/logx"
	"harmony.internal/authcallout/shared/monitor"
	"harmony.internal/authcallout/shared/natsx"
)

// Config is callout.yaml.
type Config struct {
	// NATS is the way to nats-server, into the account that its auth_callout names. The user must be one of auth_users. Each replica has
	// two connections, which count against limits of connections.
	NATS natsx.Config `yaml:"nats"`
	// Log sets up logging.
	Log logx.Config `yaml:"log"`
	// Monitor is where metrics and health are.
	Monitor monitor.Config `yaml:"monitor"`

	// PublishDecisions publishes every decision record on auth.v1.decision.OUTCOME besides logging it, for `nats sub` and
	// for a stream that keeps them. No login waits for it: what cannot be published at once is dropped, and counted. Default
	// true.
	PublishDecisions *bool `yaml:"publish_decisions"`

	// IssuerSeedFile is a file with the account seed (SA...) whose public key nats-server's auth_callout names as issuer.
	// Required. Who holds it can admit anybody: mode 0600, and on no other host than the callouts'.
	IssuerSeedFile config.Path `yaml:"issuer_seed_file"`
	// NextIssuerSeedFile is a file with the account seed that replaces the other one. The file may be missing or empty: then there
	// is none. Each server gets its answers signed by the key that it names as issuer at that moment, so the new one takes over
	// on each server when that is reloaded. Seed files are read again when they change and on SIGHUP.
	NextIssuerSeedFile config.Path `yaml:"next_issuer_seed_file"`
	// XKeySeedFile is a file with the curve seed (SX...) whose public key nats-server's auth_callout names as xkey. Empty:
	// requests, and the tokens in them, cross NATS in plain text. Once it is set, plaintext requests are refused, so set
	// it together with the server's xkey.
	XKeySeedFile config.Path `yaml:"xkey_seed_file"`
	// NextXKeySeedFile is a file with the curve seed that replaces the other one; as with next_issuer_seed_file it may be missing.
	// Requests sealed for either are opened, and the answer is sealed by the same.
	NextXKeySeedFile config.Path `yaml:"next_xkey_seed_file"`

	// ServerIDs are the public keys (N...) of the nats-servers whose requests are taken; others are refused. A nats-server makes
	// itself a new key at every start, so this is for servers that are seldom restarted, and the list must be extended before they
	// are asked to serve; verify_servers needs no list. The log has the id of every server that asks for the first time. Default:
	// every server is taken that signs its requests.
	ServerIDs []string `yaml:"server_ids"`
	// VerifyServers refuses requests of servers that do not answer under their id: an id that is not in server_ids is asked, once,
	// by the system account's KICK, which only the servers of this system answer. It needs the right to KICK. Whoever may publish
	// in the callout's account can make up a server's key; with this such requests are refused. Default false.
	VerifyServers bool `yaml:"verify_servers"`

	// Account is the name of the account for a grant that names none. Default DEVICES.
	Account string `yaml:"account"`
	// AllowedAccounts are the names of the accounts that a rule of policy may place a connection in, besides Account. A
	// grant for another account is refused here whatever policy says. Never list the system account.
	AllowedAccounts []string `yaml:"allowed_accounts"`

	// ClientPatience is the connect timeout of the part of the fleet that gives up first. A login that takes longer is
	// worth nothing. Default 2s, that of a default client. Raise it only together with the clients' own timeout and the
	// server's authorization.timeout.
	ClientPatience time.Duration `yaml:"client_patience"`
	// MaxBudget bounds the time for one login however long server and clients wait. Default 10s.
	MaxBudget time.Duration `yaml:"max_budget"`
	// ClockLeeway is how far the clocks of this host and of the servers may differ before a request is refused as
	// expired or from the future. Whole seconds, at most 5m. Default 2m: a request is good for one connection attempt alone, so
	// there is little to lose, and a host whose clock is wrong would refuse every login that it is asked about.
	ClockLeeway time.Duration `yaml:"clock_leeway"`

	// MaxInFlight is how many logins are worked on at once. Here and in max_waiting a login whose request has 6 KiB or more, as with a
	// long token or a client certificate, counts as several, one more for each 6 KiB. Default 4096.
	MaxInFlight int `yaml:"max_in_flight"`
	// MaxWaiting is how many more may wait for their turn; beyond it, and when its time is up, a login is let go and the
	// client comes back. Default 16384.
	MaxWaiting int `yaml:"max_waiting"`

	// MaxSession bounds every session. It ends with the token at the latest. Default 24h. 0 means the default.
	MaxSession time.Duration `yaml:"max_session"`
	// SessionSpread is the most that is taken at random off the end of a session, and never more than a tenth of it, so
	// that a fleet that logged in together does not come back together. Default 5m.
	SessionSpread time.Duration `yaml:"session_spread"`
	// MaxUserJWTBytes bounds the user JWT that a grant becomes; a larger one is denied with grant_too_large. nats-server
	// keeps every subject of it for each connection. Default 131072; at most 524288. The answer is a third larger and has to
	// fit into one message: where nats-server's max_payload is smaller, the login is denied with the same reason.
	MaxUserJWTBytes int `yaml:"max_user_jwt_bytes"`
}

const (
	defaultAccount       = "DEVICES"
	defaultPatience      = 2 * time.Second
	defaultMaxBudget     = 10 * time.Second
	defaultClockLeeway   = 2 * time.Minute
	defaultMaxInFlight   = 4096
	defaultMaxWaiting    = 16384
	defaultMaxSession    = 24 * time.Hour
	defaultSessionSpread = 5 * time.Minute
	defaultMaxUserJWT    = 128 << 10
	// minBudget leaves time for two hops after answerMargin.
	minBudget     = 200 * time.Millisecond
	maxMaxUserJWT = 512 << 10
	maxInFlight   = 1 << 20
)

// SetDefaults fills what is zero.
func (c *Config) SetDefaults() {
	c.NATS.SetDefaults()
	if c.PublishDecisions == nil {
		publish := true
		c.PublishDecisions = &publish
	}
	setDefault(&c.Account, defaultAccount)
	setDefault(&c.ClientPatience, defaultPatience)
	setDefault(&c.MaxBudget, defaultMaxBudget)
	setDefault(&c.ClockLeeway, defaultClockLeeway)
	setDefault(&c.MaxInFlight, defaultMaxInFlight)
	setDefault(&c.MaxWaiting, defaultMaxWaiting)
	setDefault(&c.MaxSession, defaultMaxSession)
	setDefault(&c.SessionSpread, defaultSessionSpread)
	setDefault(&c.MaxUserJWTBytes, defaultMaxUserJWT)
}

func setDefault[T comparable](p *T, value T) {
	var zero T
	if *p == zero {
		*p = value
	}
}

// accountName is what nats-server takes as an account's name in a configuration file, without the system account's.
var accountName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$`)

// Check reports what is wrong. It reads the seed files.
func (c *Config) Check(r *config.Report) {
	c.NATS.Check("nats", r)
	c.Log.Check("log", r)
	c.Monitor.Check("monitor", r)
	c.checkKeys(r)
	c.checkServers(r)
	c.checkAccounts(r)
	c.checkTimes(r)
	c.checkSizes(r)
}

func (c *Config) checkKeys(r *config.Report) {
	if c.IssuerSeedFile == "" {
		r.Errorf("issuer_seed_file", "is required: a file with the account seed (SA...) whose public key is the server's auth_callout issuer")
	} else if _, err := readSigningKey(c.IssuerSeedFile); err != nil {
		r.Errorf("issuer_seed_file", "%v", err)
	}
	if c.XKeySeedFile == "" {
		r.Warnf("xkey_seed_file", "is not set: requests, and the devices' tokens in them, cross NATS in plain text")
	} else if _, err := readCurveKey(c.XKeySeedFile); err != nil {
		r.Errorf("xkey_seed_file", "%v", err)
	}
	if _, err := optional(c.NextIssuerSeedFile, readSigningKey); err != nil {
		r.Errorf("next_issuer_seed_file", "%v", err)
	}
	if _, err := optional(c.NextXKeySeedFile, readCurveKey); err != nil {
		r.Errorf("next_xkey_seed_file", "%v", err)
	}
	if c.NextXKeySeedFile != "" && c.XKeySeedFile == "" {
		r.Errorf("next_xkey_seed_file", "needs xkey_seed_file: the first xkey is set there")
	}
}

func (c *Config) checkServers(r *config.Report) {
	for i, id := range c.ServerIDs {
		if !nkeys.IsValidPublicServerKey(id) {
			r.Errorf(indexed("server_ids", i), "%q is no server's public key (N...); the log shows it", id)
		}
	}
}

func (c *Config) checkAccounts(r *config.Report) {
	if !accountName.MatchString(c.Account) {
		r.Errorf("account", "%q is no account name: 1 to 128 letters, digits, '_', '-' or '.'", c.Account)
	}
	for i, name := range c.AllowedAccounts {
		if !accountName.MatchString(name) {
			r.Errorf(indexed("allowed_accounts", i), "%q is no account name: 1 to 128 letters, digits, '_', '-' or '.'", name)
		}
	}
}

func (c *Config) checkTimes(r *config.Report) {
	if c.ClientPatience-answerMargin < minBudget || c.ClientPatience > maxServerWait {
		r.Errorf("client_patience", "must lie between %s and %s", minBudget+answerMargin, maxServerWait)
	}
	if c.MaxBudget-answerMargin < minBudget || c.MaxBudget > maxServerWait {
		r.Errorf("max_budget", "must lie between %s and %s", minBudget+answerMargin, maxServerWait)
	}
	if c.MaxBudget < c.ClientPatience {
		r.Warnf("max_budget", "%s is shorter than client_patience, %s: logins are given up while their clients still wait", c.MaxBudget, c.ClientPatience)
	}
	if c.ClockLeeway < 0 || c.ClockLeeway > 5*time.Minute || c.ClockLeeway%time.Second != 0 {
		r.Errorf("clock_leeway", "must be whole seconds between 1s and 5m: a request's times are whole seconds")
	}
	if c.MaxSession < time.Minute {
		r.Errorf("max_session", "must be at least 1m")
	}
	if c.SessionSpread < 0 {
		r.Errorf("session_spread", "must not be negative")
	}
}

func (c *Config) checkSizes(r *config.Report) {
	if c.MaxInFlight < 1 || c.MaxInFlight > maxInFlight {
		r.Errorf("max_in_flight", "must lie between 1 and %d", maxInFlight)
	}
	if c.MaxWaiting < 1 || c.MaxWaiting > maxInFlight {
		r.Errorf("max_waiting", "must lie between 1 and %d", maxInFlight)
	}
	if c.MaxUserJWTBytes < 1024 || c.MaxUserJWTBytes > maxMaxUserJWT {
		r.Errorf("max_user_jwt_bytes", "must lie between 1024 and %d", maxMaxUserJWT)
	}
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
