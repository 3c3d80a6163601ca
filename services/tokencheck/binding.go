package tokencheck

import (
	"crypto/subtle"
	"encoding/json"

	"harmony.internal/authcallout/shared/wire"
)

// checkBinding holds a bound token against the certificate that the client proved to hold (RFC 8705 section 3). A token
// bound in a way that cannot be proven here is refused: accepting it would make it a bearer token.
func (c *claims) checkBinding(certificateSHA256 string) *wire.Error {
	raw, bound := c.all["cnf"]
	if !bound {
		return nil
	}
	var confirmation struct {
		Thumbprint string `json:"x5t#S256"`
	}
	if json.Unmarshal(raw, &confirmation) != nil || confirmation.Thumbprint == "" {
		return wire.Fail(wire.CertificateMismatch, "cnf without x5t#S256", nil)
	}
	if subtle.ConstantTimeCompare([]byte(confirmation.Thumbprint), []byte(certificateSHA256)) != 1 {
		return wire.Fail(wire.CertificateMismatch, "", nil)
	}
	return nil
}
