package wire

import (
	"fmt"
	"regexp"
)

// DefaultPrefix is the first token of every internal subject unless configured otherwise. Two systems that share one
// account need two prefixes.
const DefaultPrefix = "auth"

// Queue groups, one a service: every replica of a service joins its group.
const (
	QueueCallout    = "callout"
	QueueTokencheck = "tokencheck"
	QueuePolicy     = "policy"
)

// SubjectUserAuth is where nats-server asks who a connection is (ADR-26).
const SubjectUserAuth = "$SYS.REQ.USER.AUTH"

// Headers of internal requests and replies.
const (
	// HeaderBudget is the time, in whole milliseconds, that the receiver has left to answer, counted from the moment it
	// receives the request. It is a duration and not a time of day, because clocks differ between hosts.
	HeaderBudget = "Auth-Budget-Ms"
	// HeaderRequestID names one login across the services; 22 characters, see nuid.
	HeaderRequestID = "Auth-Request-Id"
	// HeaderErrorCode and HeaderError are micro's own (nats.go/micro), so that `nats micro stats` counts errors.
	HeaderErrorCode = "Nats-Service-Error-Code"
	HeaderError     = "Nats-Service-Error"
)

// HandedOnReply is what a request that is handed on has at the end of its reply subject. So the requester knows an answer by way of
// it from one of whom it asked, who is not given that subject and by nats-server's allow_responses may not publish there.
const HandedOnReply = ".on"

// Bounds of messages, in bytes. A message over its bound is refused before it is parsed.
const (
	// MaxAuthRequestBytes bounds the request JWT of nats-server, sealed or not. It carries the client's CONNECT, itself
	// bounded by max_control_line, and its TLS chain as PEM.
	MaxAuthRequestBytes = 64 << 10
	// MaxTokenBytes bounds a device's token on the wire, whatever an issuer allows.
	MaxTokenBytes = 16 << 10
	// MaxCheckRequestBytes bounds a CheckRequest. JSON may write one byte of what a client sent as six, and such a token must be
	// refused, not end in trouble.
	MaxCheckRequestBytes = 6*MaxTokenBytes + 4<<10
	// MaxClaimsBytes bounds the claims that tokencheck hands on.
	MaxClaimsBytes = MaxTokenBytes
	// MaxDecideRequestBytes bounds a DecideRequest and, with it, a Verified without a Grant.
	MaxDecideRequestBytes = 64 << 10
	// MaxGrantBytes bounds a Grant, and a Verified with one.
	MaxGrantBytes = 256 << 10
	// MaxDepth bounds how deep a message may nest.
	MaxDepth = 16
)

// Subjects builds the subjects below one prefix. The zero value is not usable; see NewSubjects.
type Subjects struct{ prefix string }

var prefixPattern = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// NewSubjects returns the subjects below prefix, which is one literal token of letters, digits, "_" and "-"; empty
// means DefaultPrefix.
func NewSubjects(prefix string) (Subjects, error) {
	if prefix == "" {
		prefix = DefaultPrefix
	}
	if !prefixPattern.MatchString(prefix) {
		return Subjects{}, fmt.Errorf("subject prefix %q: must be 1 to 64 letters, digits, '_' or '-'", prefix)
	}
	return Subjects{prefix: prefix}, nil
}

// TokenCheck is where tokencheck validates a token: CheckRequest, answered by Verified or Error, of policy's where it hands on.
func (s Subjects) TokenCheck() string { return s.prefix + ".v1.token.check" }

// TokenExplain is where tokencheck says how it judges the token of a CheckRequest; for operators, with a permission of
// its own.
func (s Subjects) TokenExplain() string { return s.prefix + ".v1.token.explain" }

// PolicyDecide is where policy turns a verified token into a grant: DecideRequest, answered by Grant (Verified when it was handed
// on) or Error.
func (s Subjects) PolicyDecide() string { return s.prefix + ".v1.policy.decide" }

// PolicyExplain is where policy says how it decides a DecideRequest; for operators, with a permission of its own.
func (s Subjects) PolicyExplain() string { return s.prefix + ".v1.policy.explain" }

// Ready is where every replica of a service answers whether it could do its work: no queue group, no body, and a
// monitor.Readiness as answer.
func (s Subjects) Ready(service string) string { return s.prefix + ".v1.ready." + service }

// Decision is where the callout publishes its records of one outcome; "*" is all of them. Nobody answers.
func (s Subjects) Decision(outcome string) string { return s.prefix + ".v1.decision." + outcome }

// Kick is the system account's service that closes one connection of the named server, as it is imported into the
// callout's account: Kick{serverID} -> $SYS.REQ.SERVER.<serverID>.KICK.
func (s Subjects) Kick(serverID string) string { return s.prefix + ".kick." + serverID }
