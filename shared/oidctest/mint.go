package oidctest

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jws"
)

// Claims is a token's payload.
type Claims map[string]any

// With returns a copy of c with other values; a nil value takes the claim out.
func (c Claims) With(other Claims) Claims {
	out := maps.Clone(c)
	for name, value := range other {
		if value == nil {
			delete(out, name)
		} else {
			out[name] = value
		}
	}
	return out
}

var lastTokenID atomic.Int64

// AccessToken returns the claims of Zitadel's access token for a machine user, with the role device of Project, valid
// from now for twelve hours, and device_id as an administrator's Action adds it.
func (i *Issuer) AccessToken(device string) Claims {
	now := time.Now().Unix()
	id := strconv.FormatInt(400938673622813734+lastTokenID.Add(1), 10)
	return Claims{
		"iss":       i.URL,
		"sub":       SubjectOf(device),
		"aud":       []string{Project},
		"exp":       now + 12*3600,
		"iat":       now,
		"nbf":       now,
		"jti":       "V2_" + id + "-at_" + id,
		"client_id": device,
		RolesClaim:  map[string]any{"device": map[string]string{"400938383779630118": "zitadel.localhost"}},
		"urn:zitadel:iam:user:metadata": map[string]string{
			"device_id": base64.RawURLEncoding.EncodeToString([]byte(device)),
		},
		"device_id": device,
	}
}

// SubjectOf is the sub of a device: the same each time, and like Zitadel's no name of it.
func SubjectOf(device string) string {
	var n int64 = 400938672414788646
	for _, b := range []byte(device) {
		n = n*31 + int64(b)
	}
	return strconv.FormatUint(uint64(n), 10)
}

// IDToken returns the claims of the ID token that Zitadel sends beside an access token.
func (i *Issuer) IDToken(device string) Claims {
	return i.AccessToken(device).With(Claims{
		"jti": nil, "nbf": nil, "azp": device, "at_hash": "o91QZci0hmvesVA48JCrlg",
		"aud": []string{Project, device}, "auth_time": time.Now().Unix(),
	})
}

// Mint signs claims with the newest key of alg.
func (i *Issuer) Mint(t testing.TB, alg string, claims Claims) string {
	t.Helper()
	return i.Key(t, alg).Sign(t, nil, claims)
}

// Token mints an access token for a device with RS256.
func (i *Issuer) Token(t testing.TB, device string) string {
	t.Helper()
	return i.Mint(t, "RS256", i.AccessToken(device))
}

// Sign signs claims, with further header members; a nil value takes one out.
func (k *Key) Sign(t testing.TB, header map[string]any, claims Claims) string {
	t.Helper()
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatalf("oidctest: %v", err)
	}
	return k.SignRaw(t, header, payload)
}

// SignRaw signs a payload that need not be JSON.
func (k *Key) SignRaw(t testing.TB, header map[string]any, payload []byte) string {
	t.Helper()
	h := Claims{"alg": k.Algorithm, "kid": k.ID, "typ": "JWT"}.With(header)
	head, err := json.Marshal(h)
	if err != nil {
		t.Fatalf("oidctest: %v", err)
	}
	return k.SignParts(t, head, payload)
}

// SignParts signs header and payload as they are, with the key's own algorithm whatever the header says.
func (k *Key) SignParts(t testing.TB, header, payload []byte) string {
	t.Helper()
	input := Encode(header) + "." + Encode(payload)
	signer, err := jws.NewSigner(jwa.SignatureAlgorithm(k.Algorithm))
	if err != nil {
		t.Fatalf("oidctest: %v", err)
	}
	signature, err := signer.Sign([]byte(input), k.Private)
	if err != nil {
		t.Fatalf("oidctest: %v", err)
	}
	return input + "." + Encode(signature)
}

// Encode is base64url without padding.
func Encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
