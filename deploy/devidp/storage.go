package devidp

import (
	"context"
	"errors"
	"time"

	jose "github.com/go-jose/go-jose/v4"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// storage is what the provider library asks: users, keys and claims out of the state in force.
type storage struct {
	noPeople
	store    *store
	project  string
	lifetime time.Duration
}

var (
	_ op.Storage                        = (*storage)(nil)
	_ op.ClientCredentialsStorage       = (*storage)(nil)
	_ op.CanGetPrivateClaimsFromRequest = (*storage)(nil)
	_ op.CanSetUserinfoFromRequest      = (*storage)(nil)
)

var errUnknownClient = errors.New("no such client, or its secret is wrong")

// machineRequest is one authenticated request of a machine user for tokens, by whichever grant.
type machineRequest struct {
	user     storedUser
	scopes   []string
	methods  []string // amr of the ID token
	received time.Time
}

func (r *machineRequest) GetSubject() string     { return r.user.ID }
func (r *machineRequest) GetClientID() string    { return r.user.Name }
func (r *machineRequest) GetAudience() []string  { return audience(r.user.Name, r.scopes) }
func (r *machineRequest) GetScopes() []string    { return r.scopes }
func (r *machineRequest) GetAMR() []string       { return r.methods }
func (r *machineRequest) GetAuthTime() time.Time { return r.received }

// request admits a user that was authenticated, unless it is deactivated: invalid_request, as Zitadel answers it.
func (s *storage) request(u storedUser, found bool, scopes, methods []string) (*machineRequest, error) {
	if !found {
		return nil, oidc.ErrInvalidClient().WithParent(errUnknownClient)
	}
	if !u.Active {
		return nil, oidc.ErrInvalidRequest().WithDescription("user is not active")
	}
	return &machineRequest{user: u, scopes: knownScopes(scopes), methods: methods, received: time.Now()}, nil
}

// GetKeyByIDAndClientID returns the key that verifies a user's assertion; clientID is the `iss` of it, the user's id.
func (s *storage) GetKeyByIDAndClientID(_ context.Context, keyID, clientID string) (*jose.JSONWebKey, error) {
	return s.store.get().machineKey(keyID, clientID)
}

// GetClientByClientID finds a user by its name, or the application that introspects.
func (s *storage) GetClientByClientID(_ context.Context, clientID string) (op.Client, error) {
	st := s.store.get()
	if clientID == st.API.ID {
		return client{id: clientID}, nil
	}
	if _, ok := st.userByName(clientID); ok {
		return client{id: clientID}, nil
	}
	return nil, errUnknownClient
}

// AuthorizeClientIDSecret admits users and the application that introspects.
func (s *storage) AuthorizeClientIDSecret(_ context.Context, clientID, secret string) error {
	st := s.store.get()
	if clientID == st.API.ID && secretMatches(secret, st.API.SecretHash) {
		return nil
	}
	if u, ok := st.userByName(clientID); ok && secretMatches(secret, u.SecretHash) {
		return nil
	}
	return errUnknownClient
}

// ClientCredentials admits users alone: the application that introspects gets no tokens.
func (s *storage) ClientCredentials(_ context.Context, clientID, secret string) (op.Client, error) {
	u, ok := s.store.get().userByName(clientID)
	if !ok || !secretMatches(secret, u.SecretHash) {
		return nil, oidc.ErrInvalidClient().WithParent(errUnknownClient)
	}
	return client{id: clientID}, nil
}

// ClientCredentialsTokenRequest follows ClientCredentials.
func (s *storage) ClientCredentialsTokenRequest(_ context.Context, clientID string, scopes []string) (op.TokenRequest, error) {
	u, ok := s.store.get().userByName(clientID)
	return s.request(u, ok, scopes, []string{"pwd"})
}

// CreateAccessToken gives the token its id and its end. Of a JWT nothing is kept: introspection knows a session by the id. Of an
// opaque token everything is, but not the token.
func (s *storage) CreateAccessToken(_ context.Context, request op.TokenRequest) (string, time.Time, error) {
	r, ok := request.(*machineRequest)
	if !ok {
		return "", time.Time{}, errNoPeople()
	}
	id, expires := newTokenID(r.user.Session), r.received.Add(s.lifetime)
	if !r.user.opaque() {
		return id, expires, nil
	}
	return id, expires, s.store.update(func(next *state) error {
		next.Opaque[id] = opaqueToken{Scopes: r.scopes, Issued: r.received, Expires: expires}
		return nil
	})
}

// GetPrivateClaimsFromRequest returns the claims of an access token beyond the registered ones.
func (s *storage) GetPrivateClaimsFromRequest(_ context.Context, request op.TokenRequest, scopes []string) (map[string]any, error) {
	r, ok := request.(*machineRequest)
	if !ok {
		return nil, errNoPeople()
	}
	return accessClaims(r.user, s.store.get().Organization, s.project, scopes), nil
}

// SetUserinfoFromRequest sets the claims of an ID token beyond the registered ones.
func (s *storage) SetUserinfoFromRequest(_ context.Context, info *oidc.UserInfo, request op.IDTokenRequest, scopes []string) error {
	r, ok := request.(*machineRequest)
	if !ok {
		return errNoPeople()
	}
	info.Subject = r.user.ID
	info.Claims = grantClaims(r.user, s.store.get().Organization, s.project, scopes)
	return nil
}

// SetUserinfoFromToken answers the userinfo endpoint.
func (s *storage) SetUserinfoFromToken(_ context.Context, info *oidc.UserInfo, tokenID, subject, _ string) error {
	u, err := s.liveToken(tokenID, subject)
	if err != nil {
		return err
	}
	info.Subject = u.ID
	info.PreferredUsername = u.Name
	return nil
}

// SetIntrospectionFromToken refuses a token that is no longer good. Who may ask: the application, and the token's own user.
func (s *storage) SetIntrospectionFromToken(_ context.Context, response *oidc.IntrospectionResponse, tokenID, subject, clientID string) error {
	u, err := s.liveToken(tokenID, subject)
	if err != nil {
		return err
	}
	if clientID != s.store.get().API.ID && clientID != u.Name && clientID != u.ID {
		return errors.New("not a client that may introspect this token")
	}
	response.Subject = u.ID
	response.ClientID = u.Name
	response.TokenType = oidc.BearerToken
	st := s.store.get()
	if opaque, ok := st.Opaque[tokenID]; ok {
		response.JWTID = tokenID
		response.Audience = audience(u.Name, opaque.Scopes)
		response.Expiration = oidc.FromTime(opaque.Expires)
		response.IssuedAt, response.AuthTime, response.NotBefore = oidc.FromTime(opaque.Issued), oidc.FromTime(opaque.Issued), oidc.FromTime(opaque.Issued)
		response.Claims = accessClaims(u, st.Organization, s.project, opaque.Scopes)
	}
	return nil
}

// liveToken returns the user of a token that was neither revoked nor issued before the user's last deactivation. The end of a
// JWT was checked before.
func (s *storage) liveToken(tokenID, subject string) (storedUser, error) {
	st := s.store.get()
	u, ok := st.userByID(subject)
	_, revoked := st.Revoked[tokenID]
	opaque, kept := st.Opaque[tokenID]
	ended := u.opaque() && (!kept || !time.Now().Before(opaque.Expires))
	if !ok || !u.Active || revoked || ended || !tokenIDIsOf(tokenID, u.Session) {
		return storedUser{}, oidc.ErrAccessDenied().WithDescription("access token invalid")
	}
	return u, nil
}

// RevokeToken makes introspection say inactive; a JWT that somebody holds verifies until its end. A token that is not
// one is no error (RFC 7009 section 2.2).
func (s *storage) RevokeToken(_ context.Context, tokenID, userID, clientID string) *oidc.Error {
	st := s.store.get()
	u, ok := st.userByID(userID)
	if !ok {
		return nil
	}
	if clientID != st.API.ID && clientID != u.Name && clientID != u.ID {
		return oidc.ErrInvalidClient().WithDescription("token was not issued for this client")
	}
	err := s.store.update(func(next *state) error {
		next.Revoked[tokenID] = time.Now().Add(s.lifetime)
		return nil
	})
	if err != nil {
		return oidc.ErrServerError().WithParent(err)
	}
	return nil
}

// SigningKey returns the newest key.
func (s *storage) SigningKey(context.Context) (op.SigningKey, error) { return s.store.get().signing() }

// SignatureAlgorithms returns what a key can be rotated to.
func (s *storage) SignatureAlgorithms(context.Context) ([]jose.SignatureAlgorithm, error) {
	var algorithms []jose.SignatureAlgorithm
	for _, a := range Algorithms() {
		algorithms = append(algorithms, jose.SignatureAlgorithm(a))
	}
	return algorithms, nil
}

// KeySet returns every key that is published.
func (s *storage) KeySet(context.Context) ([]op.Key, error) {
	var keys []op.Key
	for _, k := range s.store.get().opened {
		keys = append(keys, published{k})
	}
	return keys, nil
}

// Health is whether tokens can be signed.
func (s *storage) Health(context.Context) error {
	_, err := s.store.get().signing()
	return err
}
