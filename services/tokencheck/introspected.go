package tokencheck

import (
	"encoding/json"
	"fmt"
	"time"
)

// introspected is what a provider said about one token. Immutable.
type introspected struct {
	active  bool
	payload []byte  // the answer
	claims  *claims // of an active token
	until   time.Time
}

// memberOverhead is about what a member of an answer takes besides its text, in bytes.
const memberOverhead = 96

func (a *introspected) bytes() int {
	return entryOverhead + 2*cap(a.payload) + memberOverhead*len(a.claims.all)
}

// parseAnswer reads an answer as strictly as a token's payload. One that is not right is no answer: a proxy or a login page
// in the provider's place must not refuse a fleet.
func parseAnswer(body []byte) (*introspected, error) {
	c, fail := parseClaims(body, maxFarTime)
	if fail != nil {
		return nil, fmt.Errorf("%w: %w", errNoAnswer, fail)
	}
	a := &introspected{payload: body, claims: c}
	// Members that are wrong in an answer "not active" do not matter, but active must be there, and be true or false.
	if err := json.Unmarshal(c.all["active"], &a.active); err != nil || string(c.all["active"]) == "null" {
		return nil, fmt.Errorf("%w: active is not true or false", errNoAnswer)
	}
	return a, nil
}
