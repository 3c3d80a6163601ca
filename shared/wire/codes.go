package wire

import "strconv"

// Class says what a code means for the client that waits.
type Class uint8

const (
	// Transient trouble is never answered with an error: the callout hangs up or stays silent, the client comes back
	// (DESIGN P1). It is the zero value, so that an unknown code is Transient.
	Transient Class = iota
	// Definite answers are signed: asking again with the same token would end the same way.
	Definite
)

// String returns "transient" or "definite".
func (c Class) String() string {
	if c == Definite {
		return "definite"
	}
	return "transient"
}

// Code is a stable number for one reason; the table below is append-only. 1xxx speak of the token, 2xxx of policy,
// 3xxx of the request to the callout, 5xxx of transient trouble.
type Code int

// Codes of the token (tokencheck).
const (
	TokenMalformed        Code = 1001
	TokenTooLarge         Code = 1002
	TokenEncrypted        Code = 1003
	AlgorithmNotAllowed   Code = 1004
	HeaderForbidden       Code = 1005
	IssuerUnknown         Code = 1006
	KeyIDMissing          Code = 1007
	KeyUnknown            Code = 1008
	KeyMismatch           Code = 1009
	SignatureInvalid      Code = 1010
	TokenExpired          Code = 1011
	TokenNotYetValid      Code = 1012
	TokenIssuedInFuture   Code = 1013
	TokenLifetimeTooLong  Code = 1014
	AudienceMismatch      Code = 1015
	SubjectInvalid        Code = 1016
	ClaimInvalid          Code = 1017
	RequiredClaimMismatch Code = 1018
	TokenWrongKind        Code = 1019
	TokenOpaque           Code = 1020
	TokenInactive         Code = 1021
	CertificateMismatch   Code = 1022
	BindingUnsupported    Code = 1023
)

// Codes of policy.
const (
	NoMatchingRule      Code = 2001
	VariableUnresolved  Code = 2002
	VariableInvalid     Code = 2003
	RuleFailed          Code = 2004
	GrantOutsideRule    Code = 2005
	GrantTooLarge       Code = 2006
	DeviceIDTaken       Code = 2007
	DeviceNotRegistered Code = 2008
	SourceNotAllowed    Code = 2009
	ConnectionType      Code = 2010
	OutsideHours        Code = 2011
	MQTTClientID        Code = 2012
)

// Codes of the request to the callout.
const (
	NoToken           Code = 3001
	ConflictingTokens Code = 3002
	// The following are never answered: a request that does not verify has no sender to answer to.
	RequestMalformed Code = 3010
	RequestTooLarge  Code = 3011
	RequestSignature Code = 3012
	RequestIssuer    Code = 3013
	RequestAudience  Code = 3014
	RequestExpired   Code = 3015
	RequestNotSealed Code = 3016
	RequestSeal      Code = 3017
	RequestServer    Code = 3018
)

// Codes of transient trouble.
const (
	Overloaded               Code = 5001
	OutOfTime                Code = 5002
	TokencheckUnavailable    Code = 5003
	PolicyUnavailable        Code = 5004
	KeySetUnavailable        Code = 5005
	KeySetStale              Code = 5006
	PolicyNotLoaded          Code = 5007
	BadReply                 Code = 5008
	BadRequest               Code = 5009
	Internal                 Code = 5010
	IntrospectionUnavailable Code = 5011
	RegistryUnavailable      Code = 5012
	IssuerKeyMissing         Code = 5013
	ClockDisagrees           Code = 5014
)

// Reason is one row of the table: the machine name of a code, its class, and what it means in one line for an operator.
type Reason struct {
	Code  Code
	Name  string
	Class Class
	Text  string
}

// reasons is the one table of reasons. Rows are only ever added.
var reasons = []Reason{
	{TokenMalformed, "token_malformed", Definite, "not a JWT in compact form, or not strict JSON inside"},
	{TokenTooLarge, "token_too_large", Definite, "longer than the issuer's or the system's bound"},
	{TokenEncrypted, "token_encrypted", Definite, "an encrypted token (JWE); this system reads signed ones"},
	{AlgorithmNotAllowed, "algorithm_not_allowed", Definite, "alg is not in the issuer's list"},
	{HeaderForbidden, "header_forbidden", Definite, "the header carries crit, b64, jwk, jku, x5u or x5c"},
	{IssuerUnknown, "issuer_unknown", Definite, "iss is not exactly one of the configured issuers"},
	{KeyIDMissing, "kid_missing", Definite, "the header names no usable kid"},
	{KeyUnknown, "unknown_key", Definite, "kid is not in the issuer's key set, fetched after the login began"},
	{KeyMismatch, "key_mismatch", Definite, "the key's type, curve, use or own alg does not fit the token's alg"},
	{SignatureInvalid, "signature_invalid", Definite, "the signature does not verify with the key named"},
	{TokenExpired, "token_expired", Definite, "exp has passed"},
	{TokenNotYetValid, "token_not_yet_valid", Definite, "nbf lies in the future"},
	{TokenIssuedInFuture, "token_issued_in_future", Definite, "iat lies in the future"},
	{TokenLifetimeTooLong, "token_lifetime_too_long", Definite, "exp lies further ahead than the issuer's bound"},
	{AudienceMismatch, "audience_mismatch", Definite, "aud holds none of the configured audiences"},
	{SubjectInvalid, "subject_invalid", Definite, "sub is missing, empty, too long or not a string"},
	{ClaimInvalid, "claim_invalid", Definite, "a registered claim has the wrong type, or claims are too large"},
	{RequiredClaimMismatch, "required_claim_mismatch", Definite, "a claim that the issuer's configuration requires is missing or differs"},
	{TokenWrongKind, "token_wrong_kind", Definite, "not an access token: an ID, refresh, logout or event token"},
	{TokenOpaque, "token_opaque", Definite, "an opaque token, and no issuer is configured for introspection"},
	{TokenInactive, "token_inactive", Definite, "the provider says that the token is not active"},
	{CertificateMismatch, "certificate_mismatch", Definite, "the token is bound to a certificate that the client did not present"},
	{BindingUnsupported, "binding_unsupported", Definite, "the token is bound (cnf) in a way that cannot be proven here, such as DPoP"},

	{NoMatchingRule, "no_matching_rule", Definite, "no rule of the policy matched"},
	{VariableUnresolved, "variable_unresolved", Definite, "a variable that the rule uses has no value, or several"},
	{VariableInvalid, "variable_invalid", Definite, "a variable's value is not one literal subject token"},
	{RuleFailed, "rule_failed", Definite, "a rule's condition failed while it was evaluated"},
	{GrantOutsideRule, "grant_outside_rule", Definite, "after substitution a subject lies outside its template"},
	{GrantTooLarge, "grant_too_large", Definite, "the grant would make a user JWT that the server does not take"},
	{DeviceIDTaken, "device_id_taken", Definite, "another identity owns this device id"},
	{DeviceNotRegistered, "device_not_registered", Definite, "the registry does not know this identity"},
	{SourceNotAllowed, "source_not_allowed", Definite, "the rule does not admit this source address"},
	{ConnectionType, "connection_type_not_allowed", Definite, "the rule does not admit this type of connection"},
	{OutsideHours, "outside_hours", Definite, "the rule does not admit connections at this hour"},
	{MQTTClientID, "mqtt_client_id_not_allowed", Definite, "the MQTT client id is not the device id, so that it may be another device's"},

	{NoToken, "no_token", Definite, "the client presented no token"},
	{ConflictingTokens, "conflicting_tokens", Definite, "the client presented two different tokens"},
	{RequestMalformed, "request_malformed", Definite, "the request is not an authorization request of nats-server"},
	{RequestTooLarge, "request_too_large", Definite, "the request is longer than the bound"},
	{RequestSignature, "request_signature", Definite, "the request is not signed by a server key"},
	{RequestIssuer, "request_issuer", Definite, "the request's issuer is not the server that it names"},
	{RequestAudience, "request_audience", Definite, "the request is not addressed to an auth callout"},
	{RequestExpired, "request_expired", Definite, "the request has expired or was issued in the future"},
	{RequestNotSealed, "request_not_sealed", Definite, "an xkey is configured and the request came in plain text"},
	{RequestSeal, "request_seal", Definite, "the request cannot be opened, or was sealed by another key than the server's"},
	{RequestServer, "request_server", Definite, "the request comes from a server that is not known"},

	{Overloaded, "overloaded", Transient, "more logins than can be worked on in time"},
	{OutOfTime, "out_of_time", Transient, "the budget ended before an answer was there"},
	{TokencheckUnavailable, "tokencheck_unavailable", Transient, "no tokencheck answered"},
	{PolicyUnavailable, "policy_unavailable", Transient, "no policy answered"},
	{KeySetUnavailable, "keyset_unavailable", Transient, "the issuer's keys could not be fetched yet"},
	{KeySetStale, "keyset_stale", Transient, "the issuer's keys are older than the stale limit"},
	{PolicyNotLoaded, "policy_not_loaded", Transient, "policy has no rules in force yet"},
	{BadReply, "bad_reply", Transient, "a neighbour's reply did not follow the contract"},
	{BadRequest, "bad_request", Transient, "an internal request did not follow the contract"},
	{Internal, "internal", Transient, "a fault of ours; the log has the cause"},
	{IntrospectionUnavailable, "introspection_unavailable", Transient, "the provider's introspection endpoint did not answer"},
	{RegistryUnavailable, "registry_unavailable", Transient, "the device registry cannot be read"},
	{IssuerKeyMissing, "issuer_key_missing", Transient, "the server trusts an issuer whose seed this callout does not hold"},
	{ClockDisagrees, "clock_disagrees", Transient, "nbf or iat lies a few minutes ahead: the clock of tokencheck's host or the provider's is wrong"},
}

// byCode finds a row by its code. Written once, when the program starts.
var byCode = func() map[Code]*Reason {
	m := make(map[Code]*Reason, len(reasons))
	for i := range reasons {
		m[reasons[i].Code] = &reasons[i]
	}
	return m
}()

// Reasons returns the whole table, in the order of the codes' groups. The caller may keep it.
func Reasons() []Reason { return append([]Reason(nil), reasons...) }

// Reason returns the row of c; ok is false for a code that this release does not know.
func (c Code) Reason() (r Reason, ok bool) {
	if r, ok := byCode[c]; ok {
		return *r, true
	}
	return Reason{Code: c, Name: "unknown_" + strconv.Itoa(int(c)), Class: Transient}, false
}

// String returns the reason's machine name.
func (c Code) String() string { r, _ := c.Reason(); return r.Name }

// Class returns Definite or Transient; Transient for a code that this release does not know.
func (c Code) Class() Class { r, _ := c.Reason(); return r.Class }
