package callout

import (
	"encoding/base64"
	"strconv"
	"strings"
	"sync"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nkeys"

	"harmony.internal/authcallout/shared/eddsa"
	"harmony.internal/authcallout/shared/strictjson"
	"harmony.internal/authcallout/shared/wire"
)

// jwtHeader is the header of every JWT that jwt/v2 writes: {"typ":"JWT","alg":"ed25519-nkey"}.
const jwtHeader = "eyJ0eXAiOiJKV1QiLCJhbGciOiJlZDI1NTE5LW5rZXkifQ"

// decoder reads authorization requests. It reads what nats-server writes in one pass, with each server's key decoded once,
// and leaves everything that looks otherwise to jwt/v2: both accept the same texts and read the same claims from them.
// Safe for concurrent use.
type decoder struct{ keys serverKeys }

// decode checks form, signature and type.
func (d *decoder) decode(text string) (*jwt.AuthorizationRequestClaims, *wire.Error) {
	head, rest, ok := strings.Cut(text, ".")
	payload, signature, ok2 := strings.Cut(rest, ".")
	if !ok || !ok2 || head != jwtHeader || len(text) > wire.MaxAuthRequestBytes {
		return decodeAny(text)
	}
	claims := readRequest(payload)
	if claims == nil {
		return decodeAny(text)
	}
	sig, err := base64.RawURLEncoding.DecodeString(signature)
	if err != nil {
		return nil, wire.Fail(wire.RequestMalformed, "cannot be decoded", nil)
	}
	key, ok := d.keys.get(claims.Issuer)
	if !ok {
		return decodeAny(text)
	}
	if !key.Verify([]byte(text[:len(head)+1+len(payload)]), sig) {
		return nil, wire.Fail(wire.RequestSignature, "", nil)
	}
	d.keys.put(claims.Issuer, key)
	return claims, nil
}

// requestLimits are wider than any request that passed the size check.
var requestLimits = strictjson.Limits{MaxBytes: wire.MaxAuthRequestBytes, MaxDepth: wire.MaxDepth, MaxMembers: wire.MaxAuthRequestBytes}

// readRequest returns the claims of a request of version 2, nil when the text is not as a server writes it.
func readRequest(payload string) *jwt.AuthorizationRequestClaims {
	data, err := base64.RawURLEncoding.DecodeString(payload)
	if err != nil {
		return nil
	}
	r := strictjson.NewReader(data, requestLimits)
	c := &jwt.AuthorizationRequestClaims{}
	o := strictjson.Object{Names: claimMembers}
	for r.Member(&o) {
		switch o.Name {
		case "aud":
			c.Audience = r.Text()
		case "exp":
			c.Expires = r.Int(64)
		case "jti":
			c.ID = r.Text()
		case "iat":
			c.IssuedAt = r.Int(64)
		case "iss":
			c.Issuer = r.Text()
		case "name":
			c.Name = r.Text()
		case "nbf":
			c.NotBefore = r.Int(64)
		case "sub":
			c.Subject = r.Text()
		case "nats":
			readRequestPart(&r, &c.AuthorizationRequest)
		case "type":
			return nil // version 1
		default:
			r.Skip()
		}
	}
	if r.End() != nil || c.Type != jwt.AuthorizationRequestClaim || c.Version != requestVersion {
		return nil
	}
	return c
}

// Members of a request (jwt/v2, authorization_claims.go and claims.go).
var (
	claimMembers   = []string{"aud", "exp", "jti", "iat", "iss", "name", "nbf", "sub", "nats", "type"}
	requestMembers = []string{"server_id", "user_nkey", "client_info", "connect_opts", "client_tls", "request_nonce", "tags", "type", "version"}
	serverMembers  = []string{"name", "host", "id", "version", "cluster", "tags", "xkey"}
	infoMembers    = []string{"host", "id", "user", "name", "tags", "name_tag", "kind", "type", "mqtt_id", "nonce"}
	connectMembers = []string{"jwt", "nkey", "sig", "auth_token", "user", "pass", "name", "lang", "version", "protocol"}
	tlsMembers     = []string{"version", "cipher", "certs", "verified_chains"}
)

func readRequestPart(r *strictjson.Reader, q *jwt.AuthorizationRequest) {
	o := strictjson.Object{Names: requestMembers}
	for r.Member(&o) {
		switch o.Name {
		case "server_id":
			readServer(r, &q.Server)
		case "user_nkey":
			q.UserNkey = r.Text()
		case "client_info":
			readInfo(r, &q.ClientInformation)
		case "connect_opts":
			readConnect(r, &q.ConnectOptions)
		case "client_tls":
			if !r.Null() {
				q.TLS = &jwt.ClientTLS{}
				readTLS(r, q.TLS)
			}
		case "request_nonce":
			q.RequestNonce = r.Text()
		case "tags":
			q.Tags = r.Texts()
		case "type":
			q.Type = jwt.ClaimType(r.Text())
		case "version":
			q.Version = int(r.Int(strconv.IntSize))
		default:
			r.Skip()
		}
	}
}

func readServer(r *strictjson.Reader, s *jwt.ServerID) {
	o := strictjson.Object{Names: serverMembers}
	for r.Member(&o) {
		switch o.Name {
		case "name":
			s.Name = r.Text()
		case "host":
			s.Host = r.Text()
		case "id":
			s.ID = r.Text()
		case "version":
			s.Version = r.Text()
		case "cluster":
			s.Cluster = r.Text()
		case "tags":
			s.Tags = r.Texts()
		case "xkey":
			s.XKey = r.Text()
		default:
			r.Skip()
		}
	}
}

func readInfo(r *strictjson.Reader, c *jwt.ClientInformation) {
	o := strictjson.Object{Names: infoMembers}
	for r.Member(&o) {
		switch o.Name {
		case "host":
			c.Host = r.Text()
		case "id":
			c.ID = r.Uint()
		case "user":
			c.User = r.Text()
		case "name":
			c.Name = r.Text()
		case "tags":
			c.Tags = r.Texts()
		case "name_tag":
			c.NameTag = r.Text()
		case "kind":
			c.Kind = r.Text()
		case "type":
			c.Type = r.Text()
		case "mqtt_id":
			c.MQTT = r.Text()
		case "nonce":
			c.Nonce = r.Text()
		default:
			r.Skip()
		}
	}
}

func readConnect(r *strictjson.Reader, c *jwt.ConnectOptions) {
	o := strictjson.Object{Names: connectMembers}
	for r.Member(&o) {
		switch o.Name {
		case "jwt":
			c.JWT = r.Text()
		case "nkey":
			c.Nkey = r.Text()
		case "sig":
			c.SignedNonce = r.Text()
		case "auth_token":
			c.Token = r.Text()
		case "user":
			c.Username = r.Text()
		case "pass":
			c.Password = r.Text()
		case "name":
			c.Name = r.Text()
		case "lang":
			c.Lang = r.Text()
		case "version":
			c.Version = r.Text()
		case "protocol":
			c.Protocol = int(r.Int(strconv.IntSize))
		default:
			r.Skip()
		}
	}
}

func readTLS(r *strictjson.Reader, c *jwt.ClientTLS) {
	o := strictjson.Object{Names: tlsMembers}
	for r.Member(&o) {
		switch o.Name {
		case "version":
			c.Version = r.Text()
		case "cipher":
			c.Cipher = r.Text()
		case "certs":
			c.Certs = r.Texts()
		case "verified_chains":
			if r.Null() {
				continue
			}
			c.VerifiedChains = []jwt.StringList{}
			for open := false; r.Element(&open); {
				c.VerifiedChains = append(c.VerifiedChains, r.Texts())
			}
		default:
			r.Skip()
		}
	}
}

// decodeAny decodes with jwt/v2.
func decodeAny(text string) (*jwt.AuthorizationRequestClaims, *wire.Error) {
	if !strings.HasPrefix(text, jwtPrefix) {
		return nil, wire.Fail(wire.RequestMalformed, "not a JWT", nil)
	}
	decoded, err := jwt.Decode(text)
	if err != nil {
		return nil, decodeFailure(err)
	}
	claims, ok := decoded.(*jwt.AuthorizationRequestClaims)
	if !ok {
		return nil, wire.Fail(wire.RequestMalformed, "a JWT of another type", nil)
	}
	if claims.Version != requestVersion {
		return nil, wire.Fail(wire.RequestMalformed, "not version 2", nil)
	}
	if !nkeys.IsValidPublicServerKey(claims.Issuer) {
		return nil, wire.Fail(wire.RequestSignature, "the issuer is not a server key", nil)
	}
	return claims, nil
}

// decodeFailure tells a bad signature from a bad form: jwt/v2's errors have no types. Its cause stays out of the error,
// because decoders quote what they read and that may be a token.
func decodeFailure(err error) *wire.Error {
	msg := err.Error()
	if strings.Contains(msg, "signature verification") || strings.Contains(msg, "expected prefixes") {
		return wire.Fail(wire.RequestSignature, "", nil)
	}
	return wire.Fail(wire.RequestMalformed, "cannot be decoded", nil)
}

// maxServerKeys bounds serverKeys, to 10 MiB: the keys of all who may publish requests are kept, before it is known whose they are. With
// more servers than that a request costs what making a key does.
const maxServerKeys = 256

// serverKeys are the keys of servers whose signatures verified, decoded: 40 KiB each. There are at most maxServerKeys, and then they
// begin anew. Safe for concurrent use.
type serverKeys struct {
	mu   sync.RWMutex // guards keys, held for one look or one change
	keys map[string]eddsa.Key
}

// get returns the key that an nkey of a server (N...) stands for.
func (k *serverKeys) get(id string) (eddsa.Key, bool) {
	k.mu.RLock()
	key, ok := k.keys[id]
	k.mu.RUnlock()
	if ok {
		return key, true
	}
	raw, err := nkeys.Decode(nkeys.PrefixByteServer, []byte(id))
	if err != nil {
		return eddsa.Key{}, false
	}
	return eddsa.NewKey(raw)
}

// put keeps a key that verified a signature.
func (k *serverKeys) put(id string, key eddsa.Key) {
	k.mu.RLock()
	_, there := k.keys[id]
	k.mu.RUnlock()
	if there {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.keys == nil || len(k.keys) >= maxServerKeys {
		k.keys = make(map[string]eddsa.Key)
	}
	k.keys[strings.Clone(id)] = key
}
