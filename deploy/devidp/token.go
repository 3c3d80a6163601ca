package devidp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/zitadel/oidc/v3/pkg/client/profile"
	"github.com/zitadel/oidc/v3/pkg/oidc"
)

// TokenRequest is how a device asks for its access token. It works against a real Zitadel just as well.
type TokenRequest struct {
	// Issuer is the provider, by its issuer URL. Required.
	Issuer string
	// KeyFile is the path of the machine key. Required.
	KeyFile string
	// Scopes to ask for; nil is DeviceScopes(Project).
	Scopes []string
	// Project is used where Scopes is nil; empty is DefaultProject.
	Project string
}

const tokenTimeout = 10 * time.Second

// Token obtains an access token: discovery, then the JWT profile grant (RFC 7523) with an assertion signed by the machine key.
func Token(ctx context.Context, r TokenRequest) (string, error) {
	raw, err := os.ReadFile(r.KeyFile)
	if err != nil {
		return "", err
	}
	var key KeyFile
	if err := json.Unmarshal(raw, &key); err != nil {
		return "", fmt.Errorf("%s is not a machine key: %w", r.KeyFile, err)
	}
	if key.Type != keyFileType || key.KeyID == "" || key.UserID == "" {
		return "", fmt.Errorf("%s is not a machine key of a service account: type, keyId and userId are needed", r.KeyFile)
	}
	if r.Scopes == nil {
		if r.Project == "" {
			r.Project = DefaultProject
		}
		r.Scopes = DeviceScopes(r.Project)
	}
	source, err := profile.NewJWTProfileTokenSource(ctx, r.Issuer, key.UserID, key.KeyID, []byte(key.Key), r.Scopes,
		profile.WithHTTPClient(&http.Client{Timeout: tokenTimeout}))
	if err != nil {
		return "", fmt.Errorf("discovery of %s: %w", r.Issuer, err)
	}
	token, err := source.TokenCtx(ctx)
	if err != nil {
		return "", tokenError(err)
	}
	return token.AccessToken, nil
}

// tokenError keeps the provider's own words, which name the cause.
func tokenError(err error) error {
	var refused *oidc.Error
	if errors.As(err, &refused) {
		return fmt.Errorf("the provider refused: %s: %s", refused.ErrorType, refused.Description)
	}
	return fmt.Errorf("token endpoint: %w", err)
}
