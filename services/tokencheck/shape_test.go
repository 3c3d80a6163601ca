package tokencheck

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"harmony.internal/authcallout/shared/oidctest"
)

// The tokens that tests are made with have the shape of a real Zitadel's: header, names of claims, and the kind of each value.
// device_id is not the provider's own; an administrator's Action adds it.
func TestTestTokensHaveZitadelsShape(t *testing.T) {
	issuer := oidctest.New(t)
	for kind, claims := range map[string]oidctest.Claims{
		"access_token": issuer.AccessToken("sensor-a"), "id_token": issuer.IDToken("sensor-a"),
	} {
		i := slices.IndexFunc(captures(t), func(c capture) bool { return strings.HasPrefix(c.Source, "10-") && c.Kind == kind })
		if i < 0 {
			t.Fatalf("no capture of an %s", kind)
		}
		theirs, ours := captures(t)[i].Token, issuer.Mint(t, "RS256", claims.With(oidctest.Claims{"device_id": nil}))
		for part, name := range []string{"header", "payload"} {
			if got, want := claimShapes(t, ours, part), claimShapes(t, theirs, part); got != want {
				t.Errorf("%s of the %s:\n%s\nwant\n%s", name, kind, got, want)
			}
		}
	}
}

// claimShapes describes a part of a token: every claim with the kind of its value, objects below roles and metadata by the kind of
// what they hold.
func claimShapes(t *testing.T, token string, part int) string {
	t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[part])
	if err != nil {
		t.Fatal(err)
	}
	var members map[string]any
	if err := json.Unmarshal(raw, &members); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(members)) {
		fmt.Fprintf(&b, "%s: %s\n", name, kindOf(members[name]))
	}
	return b.String()
}

func kindOf(v any) string {
	switch v := v.(type) {
	case map[string]any:
		for _, inner := range v {
			return "object of " + kindOf(inner)
		}
		return "object"
	case []any:
		if len(v) == 0 {
			return "list"
		}
		return "list of " + kindOf(v[0])
	}
	return fmt.Sprintf("%T", v)
}
