package wire

import "harmony.internal/authcallout/shared/strictjson"

// Message is any message of the contract.
type Message interface {
	CheckRequest | Verified | DecideRequest | Grant | Error
}

// Encode returns m as JSON. Claims stand in it as they are: they must be one JSON object, or empty.
func Encode[M Message](m *M) ([]byte, error) {
	switch m := any(m).(type) {
	case *CheckRequest:
		return m.append(make([]byte, 0, len(m.Token)+128)), nil
	case *Verified:
		return m.append(make([]byte, 0, len(m.Claims)+512)), nil
	case *DecideRequest:
		return m.append(make([]byte, 0, len(m.Token.Claims)+1024)), nil
	case *Grant:
		return m.append(make([]byte, 0, 512)), nil
	case *Error:
		return m.append(make([]byte, 0, 256)), nil
	}
	panic("unreachable: the type set is closed")
}

// Decode reads one message of at most maxBytes: one JSON object, no deeper than MaxDepth, members unknown to this
// release ignored, duplicate and case-folded members refused. The message shares no memory with data.
func Decode[M Message](data []byte, maxBytes int) (*M, error) {
	r := strictjson.NewReader(data, strictjson.Limits{MaxBytes: maxBytes, MaxDepth: MaxDepth, MaxMembers: maxBytes})
	m := new(M)
	switch m := any(m).(type) {
	case *CheckRequest:
		m.read(&r)
	case *Verified:
		m.read(&r)
	case *DecideRequest:
		m.read(&r)
	case *Grant:
		m.read(&r)
	case *Error:
		m.read(&r)
	}
	if err := r.End(); err != nil {
		return nil, err
	}
	return m, nil
}
