package wire

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"

	"harmony.internal/authcallout/shared/strictjson"
)

// Message is any message of the contract.
type Message interface {
	CheckRequest | Verified | DecideRequest | Grant | Error
}

// Encode returns m as one line of JSON.
func Encode[M Message](m *M) ([]byte, error) { return json.Marshal(m) }

// Decode reads one message of at most maxBytes: one JSON object, no deeper than MaxDepth, members unknown to this
// release ignored, duplicate and case-folded members refused. The message shares no memory with data.
func Decode[M Message](data []byte, maxBytes int) (*M, error) {
	limits := strictjson.Limits{MaxBytes: maxBytes, MaxDepth: MaxDepth, MaxMembers: maxBytes}
	if err := strictjson.CheckObject(data, limits, names[reflect.TypeFor[M]()]...); err != nil {
		return nil, err
	}
	m := new(M)
	if err := json.Unmarshal(data, m); err != nil {
		return nil, fmt.Errorf("decode %T: %w", *m, err)
	}
	return m, nil
}

// names are the members of each message's outermost object. encoding/json would take one in another case for them.
var names = map[reflect.Type][]string{
	reflect.TypeFor[CheckRequest]():  members(reflect.TypeFor[CheckRequest]()),
	reflect.TypeFor[Verified]():      members(reflect.TypeFor[Verified]()),
	reflect.TypeFor[DecideRequest](): members(reflect.TypeFor[DecideRequest]()),
	reflect.TypeFor[Grant]():         members(reflect.TypeFor[Grant]()),
	reflect.TypeFor[Error]():         members(reflect.TypeFor[Error]()),
}

func members(t reflect.Type) []string {
	out := make([]string, 0, t.NumField())
	for i := range t.NumField() {
		if name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ","); name != "-" {
			out = append(out, name)
		}
	}
	return out
}
