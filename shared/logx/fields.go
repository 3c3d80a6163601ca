package logx

// Fields of every entry.
const (
	// Time is when it was written, RFC 3339 with nanoseconds.
	Time = "time"
	// Service is the process: callout, tokencheck, policy, standalone.
	Service = "service"
	// Version is the build's semantic version.
	Version = "version"
)

// Fields of the decision record, one entry of message "decision" for each request to the callout.
const (
	// Outcome is admitted; denied, which the device was told; hung_up or silent in transient trouble; or refused_request when
	// the request itself did not verify.
	Outcome = "outcome"
	// Code is the reason's number; absent when admitted.
	Code = "code"
	// Reason is the code's name; absent when admitted.
	Reason = "reason"
	// Detail says which part was wrong; absent when there is nothing to add.
	Detail = "detail"
	// RequestID names one login across the three services.
	RequestID = "request_id"

	// Issuer is the issuer whose token it is; of a token that was refused the one that it names, if that is configured.
	Issuer = "issuer"
	// Subject is the token's sub, after it was verified.
	Subject = "subject"
	// KeyID is the kid of the key that verified the token, or that a refused one names.
	KeyID = "kid"
	// Check is the check that the token failed; absent when it passed them all.
	Check = "check"

	// Rule is the name of the rule that matched.
	Rule = "rule"
	// Device is the device id that the rules made of the claims.
	Device = "device"
	// Account is the NATS account that the connection was put in.
	Account = "account"
	// PolicyGeneration counts the policies that the deciding replica has taken over.
	PolicyGeneration = "policy_generation"
	// PolicyHash names the text of the policy.
	PolicyHash = "policy_hash"
	// Expires is when the session ends.
	Expires = "expires"

	// ServerID is the public key of the nats-server that asked.
	ServerID = "server_id"
	// ServerName is that server's configured name.
	ServerName = "server_name"
	// ClientHost is the client's address as the server saw it.
	ClientHost = "client_host"
	// ClientID is the server's number for the connection (cid).
	ClientID = "cid"
	// ClientKind is Client or Leafnode.
	ClientKind = "client_kind"
	// ClientType is nats, mqtt or websocket.
	ClientType = "client_type"
	// ClientName is the name that the client chose. It proves nothing.
	ClientName = "client_name"
	// ClientUser is the user name that the client sent. It proves nothing. A long one that came without a password may be a token, and
	// is left out.
	ClientUser = "client_user"
	// MQTTClientID is the client id that an MQTT client chose. It proves nothing.
	MQTTClientID = "mqtt_client_id"

	// OpenMS is the time in milliseconds for verifying the request, with its wait for a turn.
	OpenMS = "open_ms"
	// TokenMS is the time in milliseconds for the answer of tokencheck, or, as it says itself, in tokencheck where that handed on to policy.
	TokenMS = "token_ms"
	// PolicyMS is the time in milliseconds for the answer of policy, with the ways between all three where tokencheck handed on.
	PolicyMS = "policy_ms"
	// MintMS is the time in milliseconds for checking the grant and signing.
	MintMS = "mint_ms"
	// TotalMS is the time in milliseconds from the arrival of the request to its end.
	TotalMS = "total_ms"
)
