package tokencheck

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"harmony.internal/authcallout/shared/config"
	"harmony.internal/authcallout/shared/logx"
	"harmony.internal/authcallout/shared/monitor"
	"harmony.internal/authcallout/shared/natsx"
	"harmony.internal/authcallout/shared/wire"
)

// Config is tokencheck.yaml.
type Config struct {
	// NATS is the connection, in the callout's account.
	NATS natsx.Config `yaml:"nats"`
	// Log sets up logging.
	Log logx.Config `yaml:"log"`
	// Monitor is where metrics and health are.
	Monitor monitor.Config `yaml:"monitor"`
	// MaxInFlight is how many tokens are judged at once. A request of 6 KiB or more counts as several, one more for each 6 KiB. Default
	// 4096.
	MaxInFlight int `yaml:"max_in_flight"`
	// LastGoodDirectory keeps each issuer's last good keys, so that a restart while a provider cannot be reached still
	// admits, until the keys are older than stale_limit. It is made where it is missing, for this user alone: who can write
	// there can admit anybody. Default: not kept.
	LastGoodDirectory config.Path `yaml:"last_good_directory"`
	// Issuers are the providers whose tokens are accepted, at least one. Nothing is shared between two of them.
	Issuers []IssuerConfig `yaml:"issuers"`
}

// IssuerConfig is one provider.
type IssuerConfig struct {
	// Issuer is the exact iss of its tokens, an https URL. Discovery is read from below it.
	Issuer string `yaml:"issuer"`
	// Audiences are the values of which at least one must be in a token's aud. Required. With Zitadel the project's id;
	// anybody can ask for it, so it authorizes nothing: a rule must ask for a role.
	Audiences []string `yaml:"audiences"`
	// AudienceClaim is the claim that audiences are looked for in, for a provider whose access tokens have no aud: client_id
	// with AWS Cognito. It must be one that the provider sets and nobody chooses. Default aud.
	AudienceClaim string `yaml:"audience_claim"`
	// Algorithms are the values of alg that are accepted. Required. Of RS256, RS384, RS512, PS256, PS384, PS512, ES256,
	// ES384, ES512 and EdDSA.
	Algorithms []string `yaml:"algorithms"`
	// Profile is generic or zitadel. zitadel refuses what Zitadel signs with the same keys and is no access token: ID and
	// logout tokens (azp, at_hash, nonce or events, or no jti), decodes the metadata, and finds the roles. Default generic.
	Profile string `yaml:"profile"`
	// Kind is access or any. access refuses ID tokens: those with nonce, at_hash, c_hash or s_hash, or that say what they are
	// (Keycloak's claim typ, Cognito's token_use), unless they say that they are access tokens. any takes ID tokens as well, for a
	// provider whose access tokens look like them, as those of Dex do, or one that has no others; whoever can log in to the client
	// whose id is in audiences then has a token that passes. Refresh, logout and event tokens are never taken. Default access.
	Kind string `yaml:"kind"`
	// Type is what the header's typ must say: accept takes JWT, at+jwt or none; require takes at+jwt alone (RFC 9068);
	// ignore takes anything. Default accept.
	Type string `yaml:"typ"`
	// JWKSURI is where the keys are. Default: what discovery says.
	JWKSURI string `yaml:"jwks_uri"`
	// RequiredClaims are claims that a token must carry: each a value, or a list of which one must be there. A claim that
	// is a list satisfies it with any of its elements.
	RequiredClaims map[string]any `yaml:"required_claims"`
	// Introspect says which tokens the provider is asked about (RFC 7662): never; opaque, those that are no JWT, as Zitadel's
	// personal access tokens and the tokens of its users of type Bearer; jwt, those of this issuer that passed every other check,
	// so that a user that was deactivated is out at once, and a role that it lost with it; always, both. An opaque token does not say whose it is: one issuer at
	// most takes them. Default never.
	Introspect string `yaml:"introspect"`
	// Introspection is how it is asked. Required unless introspect is never.
	Introspection *IntrospectionConfig `yaml:"introspection"`
	// RolesClaim names the claim with the roles: a list of names, or an object keyed by name as Zitadel sends it. A name
	// with dots that is no claim itself leads into objects (realm_access.roles). Default: with the profile zitadel and a single
	// audience urn:zitadel:iam:org:project:AUDIENCE:roles, else no roles.
	RolesClaim string `yaml:"roles_claim"`
	// Leeway is how far the provider's clock may differ for exp, nbf and iat. Default 30s, at most 2m. A session ends at
	// exp whatever the leeway.
	Leeway *time.Duration `yaml:"leeway"`
	// MaxLifetime is the longest time from iat to exp, and from now to exp, that is accepted. Default 24h.
	MaxLifetime time.Duration `yaml:"max_lifetime"`
	// MaxTokenBytes is the longest token that is accepted, at most 16384. Default 8192. nats-server's max_control_line
	// must be larger than the largest token.
	MaxTokenBytes int `yaml:"max_token_bytes"`
	// StaleLimit is how long keys serve after they were last fetched, while the provider cannot be reached. Default 1h.
	StaleLimit time.Duration `yaml:"stale_limit"`
	// CacheEntries bounds how many verified tokens are remembered, for at most a minute, so that one that comes again is not
	// verified again. Default 16384.
	CacheEntries int `yaml:"cache_entries"`
	// CacheBytes bounds the memory that the remembered tokens take. Default 33554432 (32 MiB).
	CacheBytes int `yaml:"cache_bytes"`
	// CAFile is a PEM file with the certificates that the provider's is verified with, in place of the system's.
	CAFile config.Path `yaml:"ca_file"`
	// InsecureHTTP allows plain http to a host that is not this one. Whoever is on the way can then admit anybody. Never
	// set it but in a closed test network.
	InsecureHTTP bool `yaml:"insecure_http"`
}

// Values of Profile, Type and Kind.
const (
	profileGeneric = "generic"
	profileZitadel = "zitadel"
	typeAccept     = "accept"
	typeRequire    = "require"
	typeIgnore     = "ignore"
	kindAccess     = "access"
	kindAny        = "any"
)

const (
	defaultLeeway      = 30 * time.Second
	maxLeeway          = 2 * time.Minute
	defaultLifetime    = 24 * time.Hour
	defaultTokenBytes  = 8 << 10
	defaultStaleLimit  = time.Hour
	defaultMaxInFlight = 4096
	defaultCacheSize   = 16384
	defaultCacheBytes  = 32 << 20
	minCacheBytes      = 1 << 20
	maxCacheEntries    = 1 << 22
	maxCacheBytes      = 1 << 30
)

// SetDefaults fills what is zero.
func (c *Config) SetDefaults() {
	c.NATS.SetDefaults()
	if c.MaxInFlight == 0 {
		c.MaxInFlight = defaultMaxInFlight
	}
	for i := range c.Issuers {
		c.Issuers[i].setDefaults()
	}
}

func (c *IssuerConfig) setDefaults() {
	if c.Profile == "" {
		c.Profile = profileGeneric
	}
	if c.Introspect == "" {
		c.Introspect = introspectNever
	}
	if c.Introspection != nil {
		c.Introspection.setDefaults()
	}
	if c.Kind == "" {
		c.Kind = kindAccess
	}
	if c.AudienceClaim == "" {
		c.AudienceClaim = "aud"
	}
	if c.RolesClaim == "" && c.Profile == profileZitadel && len(c.Audiences) == 1 {
		c.RolesClaim = zitadelRolesClaim(c.Audiences[0])
	}
	if c.Type == "" {
		c.Type = typeAccept
	}
	if c.Leeway == nil {
		leeway := defaultLeeway
		c.Leeway = &leeway
	}
	if c.MaxLifetime == 0 {
		c.MaxLifetime = defaultLifetime
	}
	if c.MaxTokenBytes == 0 {
		c.MaxTokenBytes = defaultTokenBytes
	}
	if c.StaleLimit == 0 {
		c.StaleLimit = defaultStaleLimit
	}
	if c.CacheEntries == 0 {
		c.CacheEntries = defaultCacheSize
	}
	if c.CacheBytes == 0 {
		c.CacheBytes = defaultCacheBytes
	}
}

// Check reports what is wrong. It reads the CA files.
func (c *Config) Check(r *config.Report) {
	c.NATS.Check("nats", r)
	c.Log.Check("log", r)
	c.Monitor.Check("monitor", r)
	if c.MaxInFlight < 1 || c.MaxInFlight > 1<<20 {
		r.Errorf("max_in_flight", "must lie between 1 and %d", 1<<20)
	}
	if c.LastGoodDirectory != "" {
		if info, err := os.Stat(string(c.LastGoodDirectory)); err == nil && !info.IsDir() {
			r.Errorf("last_good_directory", "%s is no directory", c.LastGoodDirectory)
		}
	}
	if len(c.Issuers) == 0 {
		r.Errorf("issuers", "at least one is required")
	}
	seen, opaque := map[string]bool{}, ""
	for i := range c.Issuers {
		key := fmt.Sprintf("issuers[%d]", i)
		if c.Issuers[i].takesOpaque() {
			if opaque != "" {
				r.Errorf(key+".introspect", "%s takes opaque tokens already, and such a token does not say whose it is; say jwt or never here", opaque)
			}
			opaque = key
		}
		if c.Issuers[i].check(key, r); seen[c.Issuers[i].Issuer] {
			r.Errorf(key+".issuer", "stands twice")
		}
		seen[c.Issuers[i].Issuer] = true
	}
}

func (c *IssuerConfig) check(key string, r *config.Report) {
	c.checkURL(key+".issuer", c.Issuer, true, r)
	c.checkURL(key+".jwks_uri", c.JWKSURI, false, r)
	if len(c.Audiences) == 0 || slices.Contains(c.Audiences, "") {
		r.Errorf(key+".audiences", "at least one is required, and none may be empty: a token for anybody would do")
	}
	if len(c.Algorithms) == 0 {
		r.Errorf(key+".algorithms", "at least one is required, for example [RS256]")
	}
	for i, alg := range c.Algorithms {
		if _, ok := algorithms[alg]; !ok {
			r.Errorf(fmt.Sprintf("%s.algorithms[%d]", key, i), "%q is not one of RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, EdDSA", alg)
		}
	}
	if c.Profile != profileGeneric && c.Profile != profileZitadel {
		r.Errorf(key+".profile", "%q: must be generic or zitadel", c.Profile)
	}
	if c.Kind != kindAccess && (c.Kind != kindAny || c.Profile == profileZitadel) {
		r.Errorf(key+".kind", "%q: must be access, or any with the profile generic", c.Kind)
	}
	if c.Profile == profileZitadel && c.RolesClaim == "" {
		r.Warnf(key+".roles_claim", "with several audiences it must be set, else no token has a role: %s", zitadelRolesClaim("PROJECT"))
	}
	if c.Type != typeAccept && c.Type != typeRequire && c.Type != typeIgnore {
		r.Errorf(key+".typ", "%q: must be accept, require or ignore", c.Type)
	}
	c.checkBounds(key, r)
	c.checkIntrospection(key, r)
	for name, want := range c.RequiredClaims {
		if _, err := requirement(want); err != nil {
			r.Errorf(key+".required_claims."+name, "%v", err)
		}
	}
	if c.CAFile != "" {
		if _, err := certPool(c.CAFile); err != nil {
			r.Errorf(key+".ca_file", "%v", err)
		}
	}
}

func (c *IssuerConfig) checkBounds(key string, r *config.Report) {
	if *c.Leeway < 0 || *c.Leeway > maxLeeway {
		r.Errorf(key+".leeway", "must lie between 0s and %s", maxLeeway)
	}
	if c.MaxLifetime < time.Second {
		r.Errorf(key+".max_lifetime", "must be at least 1s")
	}
	if c.MaxTokenBytes < 256 || c.MaxTokenBytes > wire.MaxTokenBytes {
		r.Errorf(key+".max_token_bytes", "must lie between 256 and %d", wire.MaxTokenBytes)
	}
	if c.StaleLimit < time.Minute {
		r.Errorf(key+".stale_limit", "must be at least 1m")
	}
	if c.CacheEntries < 1 || c.CacheEntries > maxCacheEntries {
		r.Errorf(key+".cache_entries", "must lie between 1 and %d", maxCacheEntries)
	}
	if c.CacheBytes < minCacheBytes || c.CacheBytes > maxCacheBytes {
		r.Errorf(key+".cache_bytes", "must lie between %d and %d", minCacheBytes, maxCacheBytes)
	}
}

func (c *IssuerConfig) checkIntrospection(key string, r *config.Report) {
	switch {
	case !slices.Contains([]string{introspectNever, introspectOpaque, introspectJWT, introspectAlways}, c.Introspect):
		r.Errorf(key+".introspect", "%q: must be never, opaque, jwt or always", c.Introspect)
	case c.Introspect == introspectNever && c.Introspection != nil:
		r.Errorf(key+".introspection", "is not used: introspect must say for which tokens: opaque, jwt or always")
	case c.Introspect != introspectNever && c.Introspection == nil:
		r.Errorf(key+".introspection", "is required: the client as which the provider is asked")
	case c.Introspection != nil:
		c.checkURL(key+".introspection.endpoint", c.Introspection.Endpoint, false, r)
		c.Introspection.check(key+".introspection", c.Issuer, r)
	}
}

func (c *IssuerConfig) checkURL(key, text string, required bool, r *config.Report) {
	if text == "" {
		if required {
			r.Errorf(key, "is required: the exact iss of the provider's tokens")
		}
		return
	}
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.Fragment != "":
		r.Errorf(key, "%q is not an https URL", text)
	case !c.allowed(u):
		r.Errorf(key, "%q must be https; plain http is for this host alone, or with insecure_http", text)
	case u.Scheme == "http" && !loopback(u.Hostname()):
		r.Warnf(key, "plain http: whoever is on the way to the provider can admit anybody")
	}
}

// mayAsk reports whether a URL that discovery names may be asked.
func (c *IssuerConfig) mayAsk(text string) bool {
	u, err := url.Parse(text)
	return err == nil && u.Host != "" && u.User == nil && c.allowed(u)
}

// allowed reports whether keys may be fetched from u.
func (c *IssuerConfig) allowed(u *url.URL) bool {
	return u.Scheme == "https" || (u.Scheme == "http" && (c.InsecureHTTP || loopback(u.Hostname())))
}

func loopback(host string) bool {
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback()
}

// hostPort is what two URLs must have in common to count as one host.
func hostPort(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = u.Scheme
	}
	return net.JoinHostPort(strings.ToLower(u.Hostname()), port)
}

// readable reports why a file that the configuration names cannot be read.
func readable(p config.Path) ([]byte, error) {
	data, err := os.ReadFile(string(p))
	if err != nil {
		return nil, err
	}
	if len(data) > config.MaxFileBytes {
		return nil, fmt.Errorf("%s: larger than %d bytes", p, config.MaxFileBytes)
	}
	return data, nil
}
