package tokencheck

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/zap"

	"harmony.internal/authcallout/shared/config"
	"harmony.internal/authcallout/shared/oidctest"
	"harmony.internal/authcallout/shared/wire"
)

// issuerConfig is a configuration for an oidctest issuer as an operator would write it.
func issuerConfig(url string) IssuerConfig {
	c := IssuerConfig{
		Issuer:     url,
		Audiences:  []string{oidctest.Project},
		Algorithms: []string{"RS256", "ES256", "EdDSA"},
		RolesClaim: oidctest.RolesClaim,
	}
	c.setDefaults()
	return c
}

// newTestVerifier returns a verifier for cfgs with the clock of the test.
func newTestVerifier(t testing.TB, now func() time.Time, cfgs ...IssuerConfig) *verifier {
	t.Helper()
	v := &verifier{issuers: map[string]*issuer{}, now: now}
	for i := range cfgs {
		iss, err := newIssuer(&cfgs[i], now, zap.NewNop())
		if err != nil {
			t.Fatal(err)
		}
		v.add(iss)
	}
	return v
}

// verify judges and reads the reply.
func (v *verifier) verify(ctx context.Context, token, certificateSHA256 string) (*wire.Verified, *wire.Error) {
	verdict, fail := v.judge(ctx, token, certificateSHA256)
	if fail != nil {
		return nil, fail
	}
	verified, err := wire.Decode[wire.Verified](verdict.reply, wire.MaxDecideRequestBytes)
	if err != nil {
		return nil, wire.Fail(wire.BadReply, "", err)
	}
	return verified, nil
}

// secretFile writes a file with a secret in it.
func secretFile(t testing.TB, name, content string) config.Path {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return config.Path(file)
}

// code returns the code of a failure, 0 for none.
func code(fail *wire.Error) wire.Code {
	if fail == nil {
		return 0
	}
	return fail.Code
}

// longBudget is that of a login that waits for a slow machine.
func longBudget(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// withBudget is the context of a login.
func withBudget(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
	t.Cleanup(cancel)
	return ctx
}
