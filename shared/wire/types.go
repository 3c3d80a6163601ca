package wire

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
)

// CheckRequest asks whether a token is good, and whose it is.
type CheckRequest struct {
	// Token is what the device presented, unchanged; at most MaxTokenBytes.
	Token string `json:"token"`
	// CertificateSHA256 is the base64url SHA-256 of the client's leaf certificate in DER when the server verified one
	// (RFC 8705, x5t#S256), else empty.
	CertificateSHA256 string `json:"cert_sha256,omitempty"`
	// Client is the connection, when a good token is to be handed on to policy at once: what comes back is then policy's answer
	// about the two, a Verified with Grant or an Error, on HandedOnReply. tokencheck may answer as it does without Client all the same.
	Client *Client `json:"client,omitempty"`
}

// Verified is a token that passed every check of its issuer. Times are Unix seconds.
type Verified struct {
	// Issuer is the exact iss of the token, one of the configured issuers.
	Issuer string `json:"issuer"`
	// Subject is the token's sub, never empty. Issuer and Subject together are the identity.
	Subject string `json:"subject"`
	// ExpiresAt is the token's exp, or an earlier moment at which the session must end.
	ExpiresAt int64 `json:"expires_at"`
	// IssuedAt is the token's iat, 0 if it carries none.
	IssuedAt int64 `json:"issued_at,omitempty"`
	// KeyID and Algorithm say what verified the signature; both empty for an opaque token.
	KeyID     string `json:"kid,omitempty"`
	Algorithm string `json:"alg,omitempty"`
	// TokenID is the token's jti, for the record only.
	TokenID string `json:"token_id,omitempty"`
	// Roles are the names found at the issuer's roles_claim, sorted.
	Roles []string `json:"roles,omitempty"`
	// Metadata are the user's metadata, decoded, where the issuer's profile knows of any. On Zitadel a user can write its
	// own: they are no identity.
	Metadata map[string]string `json:"metadata,omitempty"`
	// Claims is the token's payload as it was signed, of an opaque token what the provider's introspection says about it: one
	// JSON object without duplicate members, at most MaxClaimsBytes.
	Claims json.RawMessage `json:"claims,omitempty"`
	// KeySet identifies the key set that verified the token, for comparison between replicas.
	KeySet string `json:"key_set,omitempty"`
	// Grant is policy's answer where tokencheck handed the token on; nil where it did not. Claims, Roles and Metadata are then
	// left out, CheckMicros is what tokencheck said of itself, and ClientDigest that of the connection that policy decided about.
	Grant        *Grant `json:"grant,omitempty"`
	CheckMicros  int64  `json:"check_us,omitempty"`
	ClientDigest string `json:"client_digest,omitempty"`
}

// Client is what nats-server says about the connection. Name, User and MQTTClientID are chosen by the client and
// prove nothing.
type Client struct {
	Host         string     `json:"host,omitempty"`
	ID           uint64     `json:"id,omitempty"`
	Kind         string     `json:"kind,omitempty"`
	Type         string     `json:"type,omitempty"`
	Name         string     `json:"name,omitempty"`
	User         string     `json:"user,omitempty"`
	MQTTClientID string     `json:"mqtt_client_id,omitempty"`
	TLS          *ClientTLS `json:"tls,omitempty"`
	ServerID     string     `json:"server_id,omitempty"`
	ServerName   string     `json:"server_name,omitempty"`
}

// Digest is the base64url SHA-256 of c as it is encoded, by which who waits for a decision knows that it is about his connection. It is the
// same after c was encoded and decoded. What a later release adds to Client must stay out of it, or be empty for replicas of a release before,
// which do not know it: the two must agree.
func (c *Client) Digest() string {
	sum := sha256.Sum256(c.append(make([]byte, 0, 512)))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// ClientTLS is the leaf certificate of a client whose chain the server verified.
type ClientTLS struct {
	Subject string   `json:"subject,omitempty"` // RFC 2253
	DNS     []string `json:"dns,omitempty"`
	URIs    []string `json:"uris,omitempty"`
	Emails  []string `json:"emails,omitempty"`
	SHA256  string   `json:"sha256,omitempty"` // as CertificateSHA256
}

// DecideRequest asks what a verified token may do: a Grant.
type DecideRequest struct {
	Token  Verified `json:"token"`
	Client Client   `json:"client"`
	// HandedOn is there when tokencheck hands on a CheckRequest. Who waits for the answer has not seen the Token, and gets a
	// Verified with the Grant, or an Error with the Verified.
	HandedOn *HandedOn `json:"handed_on,omitempty"`
}

// HandedOn is what tokencheck says of itself in a request that it hands on.
type HandedOn struct {
	CheckMicros int64 `json:"check_us,omitempty"` // what the check took, in microseconds
}

// Answer returns what who did not see the token is told of it, with the grant, which may be nil.
func (q *DecideRequest) Answer(g *Grant) *Verified {
	v := q.Token
	v.Claims, v.Roles, v.Metadata = nil, nil, nil
	v.Grant, v.CheckMicros, v.ClientDigest = g, q.HandedOn.CheckMicros, q.Client.Digest()
	return &v
}

// Grant is what one connection may do. A side (Publish, Subscribe) with no Allow admits nothing on that side: the
// callout mints deny ">" for it, because an empty allow list in a NATS user JWT means everything.
type Grant struct {
	// Rule names the rule that matched; Device is the device id, empty when the rules define none.
	Rule   string `json:"rule"`
	Device string `json:"device,omitempty"`
	// Account is the account's name, empty for the callout's default.
	Account   string      `json:"account,omitempty"`
	Publish   Permissions `json:"publish"`
	Subscribe Permissions `json:"subscribe"`
	// Responses lets the connection answer requests that it received, nil for not at all.
	Responses *Responses `json:"responses,omitempty"`
	// MaxSessionSeconds bounds the session besides the token's own exp; 0 for no further bound.
	MaxSessionSeconds int64 `json:"max_session_s,omitempty"`
	// PolicyGeneration counts the policies that this replica took over since it started; PolicyHash names the text.
	PolicyGeneration uint64 `json:"policy_generation,omitempty"`
	PolicyHash       string `json:"policy_hash,omitempty"`
}

// Permissions are subjects in the NATS sense, wildcards allowed; a subscribe subject may name a queue group after a
// space, as in nats-server's own configuration.
type Permissions struct {
	Allow []string `json:"allow,omitempty"`
	Deny  []string `json:"deny,omitempty"`
}

// Responses bounds replies: at most Max messages within TTLMillis for each request received.
type Responses struct {
	Max       int   `json:"max"`
	TTLMillis int64 `json:"ttl_ms"`
}
