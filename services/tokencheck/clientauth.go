package tokencheck

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jwk"
	"github.com/lestrrat-go/jwx/v2/jws"
	"github.com/lestrrat-go/jwx/v2/jwt"

	"harmony.internal/authcallout/shared/config"
)

// assertionLifetime is how long an assertion is good. A provider may refuse one that is seen twice, so each is used once.
const assertionLifetime = time.Minute

// credentials authenticate this client to a provider: with a secret, or with a key that signs assertions.
type credentials struct {
	clientID string
	secret   string

	key       any // *rsa.PrivateKey, *ecdsa.PrivateKey or ed25519.PrivateKey; nil with a secret
	keyID     string
	algorithm jwa.SignatureAlgorithm
	audience  string
}

// credentials reads them from their file. An error names the file and holds nothing of it.
func (c *IntrospectionConfig) credentials(issuer string) (*credentials, error) {
	if (c.ClientSecretFile == "") == (c.PrivateKeyFile == "") {
		return nil, errors.New("either client_secret_file or private_key_file is required, and not both")
	}
	out := &credentials{clientID: c.ClientID, keyID: c.KeyID, audience: c.Audience}
	if out.audience == "" {
		out.audience = issuer
	}
	if c.ClientSecretFile != "" {
		secret, err := config.ReadSecret(c.ClientSecretFile)
		if err != nil {
			return nil, err
		}
		out.secret = string(secret)
	} else if err := out.readKey(c.PrivateKeyFile); err != nil {
		return nil, err
	}
	if out.clientID == "" {
		return nil, errors.New("client_id is required: the client as which the provider is asked")
	}
	return out, nil
}

// zitadelKey is the file that Zitadel gives for the key of an application or of a service user.
type zitadelKey struct {
	KeyID    string `json:"keyId"`
	Key      string `json:"key"` // PEM
	ClientID string `json:"clientId"`
	UserID   string `json:"userId"`
}

func (c *credentials) readKey(file config.Path) error {
	data, err := config.ReadSecret(file)
	if err != nil {
		return err
	}
	if bytes.HasPrefix(data, []byte("{")) {
		var doc zitadelKey
		if json.Unmarshal(data, &doc) != nil || doc.Key == "" || doc.KeyID == "" {
			return fmt.Errorf("%s: not a key file of Zitadel: keyId and key are needed", file)
		}
		if doc.ClientID == "" {
			doc.ClientID = doc.UserID
		}
		if c.clientID != "" && c.clientID != doc.ClientID {
			return fmt.Errorf("client_id is %q, and the key in %s is of %q", c.clientID, file, doc.ClientID)
		}
		c.clientID, c.keyID, data = doc.ClientID, doc.KeyID, []byte(doc.Key)
	}
	parsed, err := jwk.ParseKey(data, jwk.WithPEM(true))
	if err == nil {
		err = parsed.Raw(&c.key)
	}
	if err != nil {
		return fmt.Errorf("%s: no private key in PEM form in it", file)
	}
	if c.algorithm = algorithmOf(c.key); c.algorithm == "" {
		return fmt.Errorf("%s: must be a private RSA key of at least %d bits, or one on P-256, P-384, P-521 or Ed25519", file, minRSABits)
	}
	return nil
}

// algorithmOf returns how a private key signs, nothing for one that cannot.
func algorithmOf(key any) jwa.SignatureAlgorithm {
	switch k := key.(type) {
	case *rsa.PrivateKey:
		if k.N.BitLen() >= minRSABits {
			return jwa.RS256
		}
	case *ecdsa.PrivateKey:
		return map[int]jwa.SignatureAlgorithm{256: jwa.ES256, 384: jwa.ES384, 521: jwa.ES512}[k.Curve.Params().BitSize]
	case ed25519.PrivateKey:
		return jwa.EdDSA
	}
	return ""
}

// add puts the credentials into one request.
func (c *credentials) add(form url.Values, header http.Header, now time.Time) error {
	if c.key == nil {
		// Both are encoded as form values first (RFC 6749 section 2.3.1).
		pair := url.QueryEscape(c.clientID) + ":" + url.QueryEscape(c.secret)
		header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(pair)))
		return nil
	}
	assertion, err := c.assertion(now)
	if err != nil {
		return fmt.Errorf("sign the assertion: %w", err)
	}
	form.Set("client_id", c.clientID)
	form.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
	form.Set("client_assertion", assertion)
	return nil
}

// assertion makes the JWT of RFC 7523 section 3.
func (c *credentials) assertion(now time.Time) (string, error) {
	token, err := jwt.NewBuilder().Issuer(c.clientID).Subject(c.clientID).Audience([]string{c.audience}).
		IssuedAt(now).Expiration(now.Add(assertionLifetime)).JwtID(rand.Text()).Build()
	if err != nil {
		return "", err
	}
	token.Options().Enable(jwt.FlattenAudience)
	header := jws.NewHeaders()
	if c.keyID != "" {
		if err := header.Set(jws.KeyIDKey, c.keyID); err != nil {
			return "", err
		}
	}
	signed, err := jwt.Sign(token, jwt.WithKey(c.algorithm, c.key, jws.WithProtectedHeaders(header)))
	return string(signed), err
}
