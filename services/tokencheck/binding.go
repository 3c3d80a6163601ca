package tokencheck

import (
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"

	"harmony.internal/authcallout/shared/wire"
)

// binding is the certificate that a token is bound to (RFC 8705 section 3), as the base64url SHA-256 of its DER; empty
// for a bearer token.
type binding string

// binding reads cnf. A token that is bound in a way that cannot be proven here, to a DPoP key (RFC 9449) for example, is
// refused, also when it is bound to a certificate besides: accepting it would make it a bearer token.
func (c *claims) binding() (binding, *wire.Error) {
	raw, bound := c.all["cnf"]
	if !bound {
		return "", nil
	}
	var confirmation map[string]json.RawMessage // by exact name: a struct would take x5t#s256 too
	var thumbprint string
	if json.Unmarshal(raw, &confirmation) != nil || !isString(confirmation["x5t#S256"], &thumbprint) || len(confirmation) != 1 {
		return "", wire.Fail(wire.BindingUnsupported, "cnf is not x5t#S256 alone", nil)
	}
	if sum, err := strictBase64.DecodeString(thumbprint); err != nil || len(sum) != sha256Bytes || base64.RawURLEncoding.EncodeToString(sum) != thumbprint {
		return "", wire.Fail(wire.BindingUnsupported, "x5t#S256 is not a base64url SHA-256", nil)
	}
	return binding(thumbprint), nil
}

const sha256Bytes = 32

// check holds the binding against the certificate that the client proved to hold.
func (b binding) check(certificateSHA256 string) *wire.Error {
	if b == "" {
		return nil
	}
	if certificateSHA256 == "" {
		return wire.Fail(wire.CertificateMismatch, "the client showed no certificate that the server verified", nil)
	}
	if subtle.ConstantTimeCompare([]byte(b), []byte(certificateSHA256)) != 1 {
		return wire.Fail(wire.CertificateMismatch, "another certificate", nil)
	}
	return nil
}
