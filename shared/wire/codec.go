package wire

import (
	"encoding/json"
	"fmt"

	"harmony.internal/authcallout/shared/strictjson"
)

// Message is any message of the contract.
type Message interface {
	CheckRequest | Verified | DecideRequest | Grant | Error
}

// Encode returns m as one line of JSON.
func Encode[M Message](m *M) ([]byte, error) { return json.Marshal(m) }

// Decode reads one message of at most maxBytes: one JSON object, no deeper than MaxDepth, members unknown to this
// release ignored, duplicate and case-folded members refused.
func Decode[M Message](data []byte, maxBytes int) (*M, error) {
	if err := strictjson.CheckObject(data, strictjson.Limits{MaxBytes: maxBytes, MaxDepth: MaxDepth, MaxMembers: maxBytes}); err != nil {
		return nil, err
	}
	m := new(M)
	if err := json.Unmarshal(data, m); err != nil {
		return nil, fmt.Errorf("decode %T: %w", *m, err)
	}
	return m, nil
}
