package devidp

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	jose "github.com/go-jose/go-jose/v4"
)

const (
	// DefaultListen is where the provider listens unless told otherwise.
	DefaultListen = "127.0.0.1:18080"
	// DefaultProject is the project that the machine users hold their roles in unless told otherwise.
	DefaultProject = "300000000000000001"
	// DefaultTokenLifetime is how long an access token lives; Zitadel's own default.
	DefaultTokenLifetime = 12 * time.Hour
	// DefaultRole is the role of a user that is made without naming any.
	DefaultRole = "device"
)

// DefaultUsers are the machine users of a provider that is not told others.
func DefaultUsers() []User {
	return []User{{Name: "sensor-test-01"}, {Name: "sensor-a"}, {Name: "sensor-b"}}
}

// Algorithms are the signature algorithms that a signing key can have.
func Algorithms() []string {
	return []string{"RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "EdDSA"}
}

// Config is what one provider is started with.
type Config struct {
	// DataDir holds the state, the users' key files and secrets; it is made with 0700 when missing. Required.
	DataDir string
	// Listen is host:port; empty is DefaultListen, port 0 is any free one.
	Listen string
	// AllowNonLoopback permits a Listen that other machines can reach. Dangerous: anybody who reaches it can try
	// secrets, and the tokens that it issues are only as safe as its data directory. Meant for a container network.
	AllowNonLoopback bool
	// Issuer is the `iss` of the tokens and the address that services use; empty is "http://" and the address listened on.
	Issuer string
	// Project is the id of the project whose roles the users hold; empty is DefaultProject.
	Project string
	// Users are made when they do not exist yet; nil is DefaultUsers. Existing users keep their keys and identities.
	Users []User
	// Algorithm of the first signing key; empty is RS256. Later ones are made by Rotate.
	Algorithm string
	// TokenLifetime of an access token; zero is DefaultTokenLifetime.
	TokenLifetime time.Duration
	// Log receives what happens; nil discards it.
	Log *slog.Logger
}

// User is a machine user as an administrator would describe it.
type User struct {
	// Name is the user name and the `client_id` of its tokens: letters, digits, dot, dash and underscore, up to 200.
	Name string `json:"name"`
	// DeviceID is the claim `device_id`, which stands for the one that an administrator's action appends in Zitadel;
	// empty is Name.
	DeviceID string `json:"device_id,omitempty"`
	// Roles in the provider's project; nil is DefaultRole alone, an empty list is none.
	Roles []string `json:"roles"`
	// Metadata of the user; nil is device_id alone.
	Metadata map[string]string `json:"metadata,omitempty"`
	// TokenType of its access tokens, as Zitadel has it for machine users: TokenJWT, or TokenBearer for opaque ones that
	// introspection alone can read. Empty is TokenJWT.
	TokenType string `json:"token_type,omitempty"`
}

// Values of User.TokenType.
const (
	TokenJWT    = "jwt"
	TokenBearer = "bearer"
)

var userName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,199}$`)

func (u *User) setDefaults() {
	if u.DeviceID == "" {
		u.DeviceID = u.Name
	}
	if u.Roles == nil {
		u.Roles = []string{DefaultRole}
	}
	if u.Metadata == nil {
		u.Metadata = map[string]string{"device_id": u.DeviceID}
	}
	if u.TokenType == "" {
		u.TokenType = TokenJWT
	}
}

func (u *User) check() error {
	if !userName.MatchString(u.Name) {
		return fmt.Errorf("user name %q: use letters, digits, dot, dash and underscore, at most 200, beginning with a letter or digit", u.Name)
	}
	if u.Name == apiClientName {
		return fmt.Errorf("user name %q is taken by the application that introspects", u.Name)
	}
	if slices.Contains(u.Roles, "") {
		return fmt.Errorf("user %s: a role is empty", u.Name)
	}
	if u.TokenType != "" && u.TokenType != TokenJWT && u.TokenType != TokenBearer {
		return fmt.Errorf("user %s: token type %q is unknown: use %s or %s", u.Name, u.TokenType, TokenJWT, TokenBearer)
	}
	return nil
}

func (c *Config) setDefaults() {
	if c.Listen == "" {
		c.Listen = DefaultListen
	}
	if c.Project == "" {
		c.Project = DefaultProject
	}
	if c.Users == nil {
		c.Users = DefaultUsers()
	}
	if c.Algorithm == "" {
		c.Algorithm = string(jose.RS256)
	}
	if c.TokenLifetime == 0 {
		c.TokenLifetime = DefaultTokenLifetime
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	c.Issuer = strings.TrimSuffix(c.Issuer, "/")
}

// check expects the defaults to be set.
func (c *Config) check() error {
	var problems []error
	if c.DataDir == "" {
		problems = append(problems, errors.New("no data directory: name one with -data"))
	}
	if !slices.Contains(Algorithms(), c.Algorithm) {
		problems = append(problems, unknownAlgorithm(c.Algorithm))
	}
	if c.TokenLifetime < time.Second {
		problems = append(problems, fmt.Errorf("token lifetime %v: at least a second", c.TokenLifetime))
	}
	if c.Issuer != "" {
		if u, err := url.Parse(c.Issuer); err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") || u.RawQuery != "" || u.Fragment != "" {
			problems = append(problems, fmt.Errorf("issuer %q: an http or https URL without query and fragment is needed", c.Issuer))
		}
	}
	for i := range c.Users {
		if err := c.Users[i].check(); err != nil {
			problems = append(problems, err)
		}
	}
	if err := checkListen(c.Listen, c.AllowNonLoopback); err != nil {
		problems = append(problems, err)
	}
	return errors.Join(problems...)
}

// checkListen refuses an address that others than this machine can reach. A name other than localhost is refused too:
// what it resolves to is not this provider's to say.
func checkListen(addr string, allowOthers bool) error {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("listen address %q: host:port is needed", addr)
	}
	if allowOthers || host == "localhost" {
		return nil
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsLoopback() {
		return nil
	}
	return fmt.Errorf("listen address %q: other machines could reach this development provider; use 127.0.0.1, or -allow-non-loopback when that is meant", addr)
}

func unknownAlgorithm(alg string) error {
	return fmt.Errorf("algorithm %q is unknown: use one of %s", alg, strings.Join(Algorithms(), ", "))
}
