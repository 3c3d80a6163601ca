package devidp

import (
	"context"
	"net/http"
	"slices"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// grants is the library's server with the answers changed in which Zitadel differs from it: both grants answer with the user's
// name as `client_id` and with an ID token beside the access token where openid was asked for.
type grants struct {
	*op.LegacyServer
	provider *op.Provider
	storage  *storage
}

var _ op.Server = (*grants)(nil)

// Discovery describes what is really served.
func (g *grants) Discovery(ctx context.Context, r *op.Request[struct{}]) (*op.Response, error) {
	response, err := g.LegacyServer.Discovery(ctx, r)
	if err != nil {
		return nil, err
	}
	if d, ok := response.Data.(*oidc.DiscoveryConfiguration); ok {
		d.GrantTypesSupported = []oidc.GrantType{oidc.GrantTypeClientCredentials, oidc.GrantTypeBearer}
		d.TokenEndpointAuthMethodsSupported = []oidc.AuthMethod{oidc.AuthMethodBasic, oidc.AuthMethodPost}
		d.ResponseTypesSupported = []string{}
		d.ScopesSupported = []string{scopeOpenID}
		d.ServiceDocumentation = op.IssuerFromContext(ctx) + "/"
	}
	response.Header.Set("Cache-Control", "no-store")
	return response, nil
}

// Keys adds the caching that Zitadel asks for.
func (g *grants) Keys(ctx context.Context, r *op.Request[struct{}]) (*op.Response, error) {
	response, err := g.LegacyServer.Keys(ctx, r)
	if err != nil {
		return nil, err
	}
	response.Header.Set("Cache-Control", "max-age=300, must-revalidate")
	return response, nil
}

// JWTProfile is the grant of RFC 7523 section 2.1.
func (g *grants) JWTProfile(ctx context.Context, r *op.Request[oidc.JWTProfileGrantRequest]) (*op.Response, error) {
	assertion, err := op.VerifyJWTAssertion(ctx, r.Data.Assertion, g.provider.JWTProfileVerifier(ctx))
	if err != nil {
		return nil, oidc.ErrInvalidGrant().WithParent(err).WithDescription("assertion invalid")
	}
	user, ok := g.storage.store.get().userByID(assertion.Issuer)
	request, err := g.storage.request(user, ok, r.Data.Scope, nil)
	if err != nil {
		return nil, err
	}
	return g.issue(ctx, request)
}

// ClientCredentialsExchange is the grant of RFC 6749 section 4.4.
func (g *grants) ClientCredentialsExchange(ctx context.Context, r *op.ClientRequest[oidc.ClientCredentialsRequest]) (*op.Response, error) {
	user, ok := g.storage.store.get().userByName(r.Client.GetID())
	request, err := g.storage.request(user, ok, r.Data.Scope, []string{"pwd"})
	if err != nil {
		return nil, err
	}
	return g.issue(ctx, request)
}

func (g *grants) issue(ctx context.Context, request *machineRequest) (*op.Response, error) {
	c := client{id: request.user.Name, opaque: request.user.opaque()}
	access, _, validity, err := op.CreateAccessToken(ctx, request, c.AccessTokenType(), g.provider, c, "")
	if err != nil {
		return nil, err
	}
	answer := &oidc.AccessTokenResponse{
		AccessToken: access,
		TokenType:   oidc.BearerToken,
		ExpiresIn:   uint64(validity.Round(1e9).Seconds()),
		Scope:       request.scopes,
	}
	if slices.Contains(request.scopes, scopeOpenID) {
		answer.IDToken, err = op.CreateIDToken(ctx, op.IssuerFromContext(ctx), request, c.IDTokenLifetime(), access, "", g.storage, c)
		if err != nil {
			return nil, err
		}
	}
	response := op.NewResponse(answer)
	response.Header.Set("Cache-Control", "no-store")
	return response, nil
}

// Introspect says about an active token what the token says about itself. About an opaque one the storage has said it.
func (g *grants) Introspect(ctx context.Context, r *op.Request[op.IntrospectionRequest]) (*op.Response, error) {
	response, err := g.LegacyServer.Introspect(ctx, r)
	if err != nil {
		return nil, err
	}
	answer, ok := response.Data.(*oidc.IntrospectionResponse)
	if !ok || !answer.Active {
		return response, nil
	}
	answer.Issuer = op.IssuerFromContext(ctx)
	if answer.JWTID != "" {
		return response, nil
	}
	claims, err := op.VerifyAccessToken[*oidc.AccessTokenClaims](ctx, r.Data.Token, g.provider.AccessTokenVerifier(ctx))
	if err != nil {
		return nil, op.NewStatusError(oidc.ErrServerError().WithParent(err), http.StatusInternalServerError)
	}
	answer.Audience = claims.Audience
	answer.Expiration = claims.Expiration
	answer.IssuedAt = claims.IssuedAt
	answer.AuthTime = claims.IssuedAt
	answer.NotBefore = claims.NotBefore
	answer.JWTID = claims.JWTID
	answer.Claims = claims.Claims
	return response, nil
}
