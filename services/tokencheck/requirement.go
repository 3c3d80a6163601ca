package tokencheck

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sort"
)

// required is one of an issuer's required_claims: the claim, and the values of which one must be there, as JSON scalars.
type required struct {
	claim  string
	values []string
}

// requirements returns the required claims in the order of their names.
func requirements(claims map[string]any) ([]required, error) {
	out := make([]required, 0, len(claims))
	for name, want := range claims {
		values, err := requirement(want)
		if err != nil {
			return nil, fmt.Errorf("required_claims.%s: %w", name, err)
		}
		out = append(out, required{claim: name, values: values})
	}
	sort.Slice(out, func(i, j int) bool { return out[i].claim < out[j].claim })
	return out, nil
}

var errRequirement = errors.New("must be text, a number, true or false, or a list of these that is not empty")

func requirement(want any) ([]string, error) {
	list, ok := want.([]any)
	if !ok {
		list = []any{want}
	}
	if len(list) == 0 {
		return nil, errRequirement
	}
	out := make([]string, len(list))
	for i, v := range list {
		switch v.(type) {
		case string, bool, int, int64, uint64, float64:
		default:
			return nil, errRequirement
		}
		text, err := json.Marshal(v)
		if err != nil {
			return nil, errRequirement
		}
		out[i] = string(text)
	}
	return out, nil
}

// metBy reports whether a claim has one of the values, or is a list with one of them in it.
func (r required) metBy(raw json.RawMessage) bool {
	if raw == nil {
		return false
	}
	var list []json.RawMessage
	if raw[0] != '[' {
		list = []json.RawMessage{raw}
	} else if json.Unmarshal(raw, &list) != nil {
		return false
	}
	return slices.ContainsFunc(list, func(v json.RawMessage) bool { return slices.Contains(r.values, canonical(v)) })
}

// canonical returns a scalar as encoding/json writes it, so that escapes do not matter; empty for anything else.
func canonical(raw json.RawMessage) string {
	var v any
	if json.Unmarshal(raw, &v) != nil {
		return ""
	}
	if _, err := requirement(v); err != nil {
		return ""
	}
	if _, number := v.(float64); number {
		return string(raw)
	}
	text, err := json.Marshal(v)
	if err != nil {
		return ""
	}
	return string(text)
}
