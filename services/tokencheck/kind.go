package tokencheck

import (
	"slices"

	"harmony.internal/authcallout/shared/wire"
)

// Claims that tell what a token is.
var (
	// refreshTypes are Keycloak's claim typ in tokens that are never for a service, idTypes in ID tokens.
	refreshTypes = []string{"Refresh", "Offline", "Logout", "InitialAccessToken", "RegistrationAccessToken"}
	idTypes      = []string{"ID"}
	accessTypes  = []string{"Bearer", "DPoP"}
	// usesRefresh, usesID and usesAccess are token_use as Cognito and Hydra have it.
	usesRefresh = []string{"refresh", "refresh_token"}
	usesID      = []string{"id", "id_token"}
	usesAccess  = []string{"access", "access_token"}
	// idClaims stand in ID tokens (OpenID Connect Core sections 2, 3.1.3.6 and 3.3.2.11) and in no access token, except that
	// of a few providers.
	idClaims = []string{"nonce", "at_hash", "c_hash", "s_hash"}
	// zitadelIDClaims stand in ID tokens of Zitadel and in none of its access tokens.
	zitadelIDClaims = append([]string{"azp"}, idClaims...)
)

// checkKind refuses tokens that the provider signs with the same keys for another purpose (RFC 8725 section 3.11).
// signedAs is the header's typ, empty where there is none.
func (c *claims) checkKind(cfg *IssuerConfig, signedAs string) *wire.Error {
	if fail := c.checkNotRefresh(); fail != nil {
		return fail
	}
	var typ, use string
	isString(c.all["typ"], &typ)
	isString(c.all["token_use"], &use)
	if cfg.Kind == kindAny {
		return nil
	}
	if slices.Contains(idTypes, typ) || slices.Contains(usesID, use) {
		return wire.Fail(wire.TokenWrongKind, "an ID token", nil)
	}
	// A token that says that it is an access token may carry the others' claims: Keycloak's older releases put nonce in.
	saysAccess := signedAs == typAccessToken || slices.Contains(accessTypes, typ) || slices.Contains(usesAccess, use)
	if !saysAccess {
		if fail := c.checkWithout(idClaims); fail != nil {
			return fail
		}
	}
	if cfg.Profile != profileZitadel {
		return nil
	}
	// Zitadel's ID tokens carry the same typ, kid and audience as its access tokens; these tell them apart.
	if fail := c.checkWithout(zitadelIDClaims); fail != nil {
		return fail
	}
	if c.id == "" {
		return wire.Fail(wire.TokenWrongKind, "no jti", nil)
	}
	return nil
}

// checkNotRefresh refuses what no configuration accepts: refresh, logout and event tokens.
func (c *claims) checkNotRefresh() *wire.Error {
	// A security event or logout token (RFC 8417 section 2.2, OpenID Connect Back-Channel Logout section 2.4).
	if fail := c.checkWithout([]string{"events"}); fail != nil {
		return fail
	}
	var typ, use string
	if isString(c.all["typ"], &typ) && slices.Contains(refreshTypes, typ) || isString(c.all["token_use"], &use) && slices.Contains(usesRefresh, use) {
		return wire.Fail(wire.TokenWrongKind, "a token for the provider itself", nil)
	}
	return nil
}

func (c *claims) checkWithout(names []string) *wire.Error {
	for _, name := range names {
		if _, ok := c.all[name]; ok {
			return wire.Fail(wire.TokenWrongKind, name, nil)
		}
	}
	return nil
}
