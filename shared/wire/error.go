package wire

import "errors"

// Error is a refusal or a trouble with its code. The code and Detail cross the wire; Cause never does, it is for the
// log of the process in which it arose.
type Error struct {
	Code Code `json:"code"`
	// Reason is the code's machine name, on the wire for readers that do not know the code.
	Reason string `json:"reason"`
	// Detail says which part was wrong, for the operator's record: bounded, never a token or part of one.
	Detail string `json:"detail,omitempty"`
	// Token names the check of the token that failed, nil when none did.
	Token *TokenName `json:"token,omitempty"`
	// Policy names the policy that refused, nil when none did.
	Policy *PolicyName `json:"policy,omitempty"`
	// Verified is whose token policy refused, when tokencheck handed it on; see DecideRequest.
	Verified *Verified `json:"verified,omitempty"`
	Cause    error     `json:"-"`
}

// TokenName says which check a token failed, and what it names, for the record. It is not verified.
type TokenName struct {
	Check  string `json:"check"`
	Issuer string `json:"issuer,omitempty"` // a configured one; empty when none was found
	KeyID  string `json:"kid,omitempty"`    // empty when it is not known
}

// PolicyName says which policy decided, and by which rule, for the record.
type PolicyName struct {
	Rule       string `json:"rule,omitempty"`   // empty when no rule matched
	Device     string `json:"device,omitempty"` // empty when it is not known
	Generation uint64 `json:"generation,omitempty"`
	Hash       string `json:"hash,omitempty"`
}

// Fail returns an Error of this code.
func Fail(code Code, detail string, cause error) *Error {
	return &Error{Code: code, Reason: code.String(), Detail: detail, Cause: cause}
}

// Error implements error. It is for logs; nobody may parse it.
func (e *Error) Error() string {
	s := e.Reason
	if e.Detail != "" {
		s += ": " + e.Detail
	}
	if e.Cause != nil {
		s += ": " + e.Cause.Error()
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

// CodeOf returns the code of the first Error in err's chain, Internal when there is none.
func CodeOf(err error) Code {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return Internal
}
