package devidp

import (
	"context"
	"time"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// noPeople refuses the half of the library's storage that serves logins of people, refresh tokens and sessions: this
// provider has machine users only, and none of the endpoints behind these methods is routed.
type noPeople struct{}

func errNoPeople() *oidc.Error {
	return oidc.ErrUnsupportedGrantType().WithDescription("this provider has machine users only")
}

// CreateAuthRequest refuses.
func (noPeople) CreateAuthRequest(context.Context, *oidc.AuthRequest, string) (op.AuthRequest, error) {
	return nil, errNoPeople()
}

// AuthRequestByID refuses.
func (noPeople) AuthRequestByID(context.Context, string) (op.AuthRequest, error) {
	return nil, errNoPeople()
}

// AuthRequestByCode refuses.
func (noPeople) AuthRequestByCode(context.Context, string) (op.AuthRequest, error) {
	return nil, errNoPeople()
}

// SaveAuthCode refuses.
func (noPeople) SaveAuthCode(context.Context, string, string) error { return errNoPeople() }

// DeleteAuthRequest refuses.
func (noPeople) DeleteAuthRequest(context.Context, string) error { return errNoPeople() }

// CreateAccessAndRefreshTokens refuses.
func (noPeople) CreateAccessAndRefreshTokens(context.Context, op.TokenRequest, string) (string, string, time.Time, error) {
	return "", "", time.Time{}, errNoPeople()
}

// TokenRequestByRefreshToken refuses.
func (noPeople) TokenRequestByRefreshToken(context.Context, string) (op.RefreshTokenRequest, error) {
	return nil, errNoPeople()
}

// TerminateSession refuses.
func (noPeople) TerminateSession(context.Context, string, string) error { return errNoPeople() }

// GetRefreshTokenInfo says that nothing is a refresh token.
func (noPeople) GetRefreshTokenInfo(context.Context, string, string) (string, string, error) {
	return "", "", op.ErrInvalidRefreshToken
}

// SetUserinfoFromScopes leaves everything to SetUserinfoFromRequest, as the library asks.
func (noPeople) SetUserinfoFromScopes(context.Context, *oidc.UserInfo, string, string, []string) error {
	return nil
}

// GetPrivateClaimsFromScopes refuses: the claims come from GetPrivateClaimsFromRequest.
func (noPeople) GetPrivateClaimsFromScopes(context.Context, string, string, []string) (map[string]any, error) {
	return nil, errNoPeople()
}

// ValidateJWTProfileScopes refuses: the grant has a handler of its own.
func (noPeople) ValidateJWTProfileScopes(context.Context, string, []string) ([]string, error) {
	return nil, errNoPeople()
}
