package tokencheck

import (
	"slices"

	"harmony.internal/authcallout/shared/wire"
)

// checkKind refuses tokens that the provider signs with the same keys for another purpose (RFC 8725 section 3.11).
func (c *claims) checkKind(cfg *IssuerConfig) *wire.Error {
	// A security event or logout token (RFC 8417 section 2.2, OpenID Connect Back-Channel Logout section 2.4).
	if _, ok := c.all["events"]; ok {
		return wire.Fail(wire.TokenWrongKind, "events", nil)
	}
	// Keycloak says in the payload what a token is.
	var typ string
	if isString(c.all["typ"], &typ) && slices.Contains([]string{"ID", "Refresh", "Offline", "Logout"}, typ) {
		return wire.Fail(wire.TokenWrongKind, "typ", nil)
	}
	if cfg.Profile != profileZitadel {
		return nil
	}
	// Zitadel's ID tokens carry the same typ, kid and audience as its access tokens; these tell them apart.
	for _, name := range []string{"azp", "at_hash", "nonce"} {
		if _, ok := c.all[name]; ok {
			return wire.Fail(wire.TokenWrongKind, name, nil)
		}
	}
	if c.id == "" {
		return wire.Fail(wire.TokenWrongKind, "no jti", nil)
	}
	return nil
}
