package devidp

import (
	"fmt"
	"net/http"
	"path/filepath"
	"slices"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// Provider is the OpenID provider as a handler and as what an administrator can ask of it. Every method may be called concurrently.
type Provider struct {
	config  Config
	store   *store
	handler http.Handler
}

// New opens the data directory of cfg, makes what is missing in it and returns the provider. cfg.Issuer is required
// here; Start can find it out by itself.
func New(cfg Config) (*Provider, error) {
	cfg.setDefaults()
	if err := cfg.check(); err != nil {
		return nil, err
	}
	if cfg.Issuer == "" {
		return nil, fmt.Errorf("no issuer: the handler must know the address that it is reached by")
	}
	st, err := openStore(cfg.DataDir, cfg.Algorithm)
	if err != nil {
		return nil, err
	}
	p := &Provider{config: cfg, store: st}
	for _, u := range cfg.Users {
		if _, exists := st.get().userByName(u.Name); exists {
			continue
		}
		if _, err := p.AddUser(u); err != nil {
			return nil, err
		}
	}
	token, err := openAdminToken(cfg.DataDir)
	if err != nil {
		return nil, err
	}
	oidcHandler, err := p.newOIDC()
	if err != nil {
		return nil, err
	}
	p.handler = p.route(oidcHandler, token)
	return p, nil
}

// newOIDC assembles the library's server over the store, with the paths that Zitadel has.
func (p *Provider) newOIDC() (http.Handler, error) {
	endpoints := op.Endpoints{
		Token:         op.NewEndpoint("/oauth/v2/token"),
		Introspection: op.NewEndpoint("/oauth/v2/introspect"),
		Userinfo:      op.NewEndpoint("/oidc/v1/userinfo"),
		Revocation:    op.NewEndpoint("/oauth/v2/revoke"),
		JwksURI:       op.NewEndpoint("/oauth/v2/keys"),
	}
	config := &op.Config{AuthMethodPost: true, AuthMethodPrivateKeyJWT: true}
	copy(config.CryptoKey[:], p.store.get().TokenKey)
	storage := &storage{store: p.store, project: p.config.Project, lifetime: p.config.TokenLifetime}
	provider, err := op.NewProvider(config, storage, op.StaticIssuer(p.config.Issuer),
		op.WithAllowInsecure(), // http on loopback and inside a container network
		op.WithAccessTokenVerifierOpts(op.WithSupportedAccessTokenSigningAlgorithms(Algorithms()...)))
	if err != nil {
		return nil, err
	}
	server := &grants{LegacyServer: op.NewLegacyServer(provider, endpoints), provider: provider, storage: storage}
	return op.RegisterServer(server, endpoints,
		op.WithHTTPMiddleware(op.NewIssuerInterceptor(provider.IssuerFromRequest).Handler),
		op.WithServerCORSOptions(nil)), nil // no page of another origin has any business here
}

// ServeHTTP serves the provider, its administration and its landing page.
func (p *Provider) ServeHTTP(w http.ResponseWriter, r *http.Request) { p.handler.ServeHTTP(w, r) }

// Issuer is the `iss` of the tokens.
func (p *Provider) Issuer() string { return p.config.Issuer }

// Project is the project that the users hold their roles in.
func (p *Provider) Project() string { return p.config.Project }

// DiscoveryURL is where the provider describes itself.
func (p *Provider) DiscoveryURL() string { return p.config.Issuer + oidc.DiscoveryEndpoint }

// KeyFile is the path of a user's machine key, or of that of the application "api", which may introspect.
func (p *Provider) KeyFile(user string) string { return KeyFilePath(p.config.DataDir, user) }

// SecretFile is the path of a user's client secret, or of that of the application "api".
func (p *Provider) SecretFile(client string) string { return secretPath(p.config.DataDir, client) }

// NewUserInfo says what AddUser made.
type NewUserInfo struct {
	ID         string `json:"id"`
	KeyFile    string `json:"key_file"`
	SecretFile string `json:"secret_file"`
}

// AddUser makes a machine user with a key file and a client secret. A user of that name must not exist.
func (p *Provider) AddUser(u User) (NewUserInfo, error) {
	info := NewUserInfo{KeyFile: p.KeyFile(u.Name), SecretFile: p.SecretFile(u.Name)}
	err := p.store.update(func(s *state) error {
		if _, exists := s.userByName(u.Name); exists {
			return fmt.Errorf("user %s exists already", u.Name)
		}
		made, err := newUser(p.config.DataDir, u)
		if err != nil {
			return err
		}
		info.ID = made.ID
		s.Users = append(s.Users, made)
		return nil
	})
	if err != nil {
		return NewUserInfo{}, err
	}
	if abs, err := filepath.Abs(info.KeyFile); err == nil {
		info.KeyFile = abs
	}
	p.config.Log.Info("user added", "user", u.Name, "id", info.ID)
	return info, nil
}

// Deactivate stops a user: no new token, and introspection calls every token that it has inactive, also after a
// later Reactivate. The tokens verify until they end, as Zitadel's do.
func (p *Provider) Deactivate(user string) error { return p.setActive(user, false) }

// Reactivate lets a user obtain tokens again.
func (p *Provider) Reactivate(user string) error { return p.setActive(user, true) }

func (p *Provider) setActive(user string, active bool) error {
	err := p.store.update(func(s *state) error {
		i := slices.IndexFunc(s.Users, func(u storedUser) bool { return u.Name == user })
		if i < 0 {
			return fmt.Errorf("user %q does not exist", user)
		}
		s.Users[i].Active = active
		if !active {
			s.Users[i].Session = newID()
		}
		return nil
	})
	if err == nil {
		p.config.Log.Info("user changed", "user", user, "active", active)
	}
	return err
}

// RotateOptions say how a rotation goes; the zero value makes a key of the present algorithm and keeps the old ones published.
type RotateOptions struct {
	// Algorithm of the new key; empty is that of the present one.
	Algorithm string `json:"algorithm,omitempty"`
	// RemoveOld takes every older key out of the key set: tokens that they signed no longer verify.
	RemoveOld bool `json:"remove_old,omitempty"`
}

// Rotate makes a new signing key, which signs from now on, and returns its id.
func (p *Provider) Rotate(o RotateOptions) (string, error) {
	var made storedKey
	err := p.store.update(func(s *state) error {
		if o.Algorithm == "" {
			present, err := s.signing()
			if err != nil {
				return err
			}
			o.Algorithm = present.algorithm
		}
		var err error
		if made, err = newStoredKey(o.Algorithm); err != nil {
			return err
		}
		if o.RemoveOld {
			s.Keys = nil
		}
		s.Keys = append(s.Keys, made)
		return nil
	})
	if err != nil {
		return "", err
	}
	p.config.Log.Info("signing key rotated", "kid", made.ID, "algorithm", made.Algorithm, "old_removed", o.RemoveOld)
	return made.ID, nil
}
