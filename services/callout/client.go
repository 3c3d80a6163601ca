package callout

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"strings"

	"github.com/nats-io/jwt/v2"

	"harmony.internal/authcallout/shared/wire"
)

// maxClientText bounds each text that the client or the server's operator chose, in bytes.
const maxClientText = 256

// minSecret is the length from which a credential is looked for inside other texts; a shorter one is no token, and would
// be found by chance.
const minSecret = 16

// redacted stands for a text that holds a credential.
const redacted = "[redacted]"

// clientOf describes the connection for policy and for the record. A name, user or MQTT client id that holds a
// credential is replaced: clients put tokens into the wrong field, and these texts are logged.
func clientOf(claims *jwt.AuthorizationRequestClaims, creds credentials) (wire.Client, error) {
	info := &claims.ClientInformation
	leaf, err := verifiedLeaf(claims.TLS)
	if err != nil {
		return wire.Client{}, err
	}
	return wire.Client{
		Host:         clip(info.Host),
		ID:           info.ID,
		Kind:         clip(info.Kind),
		Type:         clip(info.Type),
		Name:         creds.redact(info.Name),
		User:         creds.redactUser(info.User),
		MQTTClientID: creds.redact(info.MQTT),
		TLS:          leaf,
		ServerID:     claims.Server.ID,
		ServerName:   clip(claims.Server.Name),
	}, nil
}

// redact returns s bounded, or redacted when s holds one of the credentials or looks like a JWT.
func (c credentials) redact(s string) string {
	if strings.Contains(s, jwtPrefix) {
		return redacted
	}
	for _, secret := range []string{c.AuthToken, c.Password, c.JWT} {
		if s != "" && s == secret || len(secret) >= minSecret && strings.Contains(s, secret) {
			return redacted
		}
	}
	return clip(s)
}

// redactUser is redact for the user name. One that comes without any credential may be the token itself, as clients have it that
// know no field for one, and an opaque token has no looks to know it by.
func (c credentials) redactUser(s string) string {
	if c == (credentials{}) && len(s) >= minSecret {
		return redacted
	}
	return c.redact(s)
}

// clip bounds s to maxClientText bytes of valid UTF-8.
func clip(s string) string {
	if len(s) > maxClientText {
		s = s[:maxClientText]
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

// verifiedLeaf returns the leaf of the first chain that the server verified, nil when it verified none: certificates
// that a client merely sent prove nothing.
func verifiedLeaf(tls *jwt.ClientTLS) (*wire.ClientTLS, error) {
	if tls == nil || len(tls.VerifiedChains) == 0 {
		return nil, nil
	}
	if len(tls.VerifiedChains[0]) == 0 {
		return nil, errors.New("a verified chain without certificates")
	}
	block, _ := pem.Decode([]byte(tls.VerifiedChains[0][0]))
	if block == nil || block.Type != "CERTIFICATE" {
		return nil, errors.New("the verified leaf is not a PEM certificate")
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(cert.Raw)
	leaf := &wire.ClientTLS{
		Subject: cert.Subject.String(),
		DNS:     cert.DNSNames,
		Emails:  cert.EmailAddresses,
		SHA256:  base64.RawURLEncoding.EncodeToString(sum[:]),
	}
	for _, u := range cert.URIs {
		leaf.URIs = append(leaf.URIs, u.String())
	}
	return leaf, nil
}
