package callout

import (
	"strings"
	"testing"

	"harmony.internal/authcallout/shared/wire"
)

func TestToken(t *testing.T) {
	for _, row := range []struct {
		name  string
		creds credentials
		want  string
		code  wire.Code
	}{
		{"auth_token", credentials{AuthToken: "a"}, "a", 0},
		{"pass", credentials{Password: "a"}, "a", 0},
		{"jwt", credentials{JWT: "a"}, "a", 0},
		{"the same in all three", credentials{"a", "a", "a"}, "a", 0},
		{"none", credentials{}, "", wire.NoToken},
		{"auth_token and pass differ", credentials{AuthToken: "a", Password: "b"}, "", wire.ConflictingTokens},
		{"auth_token and jwt differ", credentials{AuthToken: "a", JWT: "b"}, "", wire.ConflictingTokens},
		{"pass and jwt differ", credentials{Password: "a", JWT: "b"}, "", wire.ConflictingTokens},
		{"first and third are equal, second differs", credentials{"a", "b", "a"}, "", wire.ConflictingTokens},
		{"at the bound", credentials{AuthToken: strings.Repeat("a", wire.MaxTokenBytes)}, strings.Repeat("a", wire.MaxTokenBytes), 0},
		{"over the bound", credentials{AuthToken: strings.Repeat("a", wire.MaxTokenBytes+1)}, "", wire.TokenTooLarge},
	} {
		t.Run(row.name, func(t *testing.T) {
			got, fail := row.creds.token()
			wantCode(t, fail, row.code)
			if got != row.want {
				t.Errorf("token of %d bytes, want %d", len(got), len(row.want))
			}
		})
	}
}
