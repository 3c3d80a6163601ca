package demo

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jws"
)

// claims are those of a token that the story tells; nobody here verifies them.
type claims struct {
	Issuer   string `json:"iss"`
	Subject  string `json:"sub"`
	DeviceID string `json:"device_id"`
	Expires  int64  `json:"exp"`
}

func (c claims) expires() string { return time.Unix(c.Expires, 0).Format(time.TimeOnly) }

func claimsOf(token string) (claims, error) {
	var c claims
	_, payload, _, err := split(token)
	if err != nil {
		return c, err
	}
	return c, json.Unmarshal(payload, &c)
}

// split returns header and payload of a token as JSON, and the signature as it stands there.
func split(token string) (header, payload []byte, signature string, err error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil, nil, "", errors.New("the provider's token is not a JWT")
	}
	header, err = base64.RawURLEncoding.DecodeString(parts[0])
	if err == nil {
		payload, err = base64.RawURLEncoding.DecodeString(parts[1])
	}
	if err != nil {
		return nil, nil, "", fmt.Errorf("the provider's token is not a JWT: %w", err)
	}
	return header, payload, parts[2], nil
}

// resigned returns a token with the same claims and the same header that is signed by another key.
func resigned(token string) (string, error) {
	header, payload, _, err := split(token)
	if err != nil {
		return "", err
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return "", err
	}
	headers := jws.NewHeaders()
	if err := json.Unmarshal(header, headers); err != nil {
		return "", err
	}
	forged, err := jws.Sign(payload, jws.WithKey(jwa.RS256, key, jws.WithProtectedHeaders(headers)))
	return string(forged), err
}

// altered returns a token that says sensor-b where it said sensor-a, under the signature of the one that it was.
func altered(token string) (string, error) {
	header, payload, signature, err := split(token)
	if err != nil {
		return "", err
	}
	encode := base64.RawURLEncoding.EncodeToString
	changed := strings.ReplaceAll(string(payload), "sensor-a", "sensor-b")
	return encode(header) + "." + encode([]byte(changed)) + "." + signature, nil
}
