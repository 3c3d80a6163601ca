package tokencheck

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"harmony.internal/authcallout/shared/heaptest"
	"harmony.internal/authcallout/shared/natstest"
	"harmony.internal/authcallout/shared/oidctest"
	"harmony.internal/authcallout/shared/wire"
)

// TestWaitingForKeysKeepsLittle: anybody can make a token that waits for the provider, with as many claims as one may have, each of which takes
// many times its text.
func TestWaitingForKeysKeepsLittle(t *testing.T) {
	const logins, most = 300, 24 << 10
	idp, c := oidctest.New(t), &clock{}
	v := newTestVerifier(t, c.now, issuerConfig(idp.URL))
	judged(t, v, idp.Token(t, "sensor-a"), "", 0)
	c.ahead = 2 * forcedEvery // then a fetch may be forced again
	stats := &v.issuers[idp.URL].keys.stats
	already := stats.joined.Load() + stats.forced.Load()
	idp.Stall()
	defer idp.Heal()
	many := oidctest.Claims{}
	for i := range 650 {
		many[fmt.Sprintf("%x", i)] = 0
	}
	token := idp.Key(t, "RS256").Sign(t, map[string]any{"kid": "another"}, idp.AccessToken("sensor-a").With(many))
	before := heaptest.InUse()
	var all sync.WaitGroup
	var left atomic.Int64
	for range logins {
		all.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			if _, fail := v.verify(ctx, token, ""); code(fail) != wire.KeyUnknown {
				t.Errorf("got %v", fail)
			}
			left.Add(1)
		})
	}
	natstest.Eventually(t, "all wait", func() bool { return stats.joined.Load()+stats.forced.Load()-already == logins })
	each := (heaptest.InUse() - before) / logins
	if n := left.Load(); n > 0 {
		t.Fatalf("%d of %d did not wait", n, logins)
	}
	if each > most {
		t.Errorf("%d bytes are kept for a login that waits, with a token of %d", each, len(token))
	}
	idp.Heal()
	all.Wait()
}

// TestCacheCountsWhatItKeeps: the bound of bytes is one of memory, whatever tokens look like.
func TestCacheCountsWhatItKeeps(t *testing.T) {
	const tokens = 400
	for name, row := range map[string]struct {
		claims func() oidctest.Claims
		header map[string]any
	}{
		"small":        {func() oidctest.Claims { return nil }, nil},
		"many roles":   {func() oidctest.Claims { return oidctest.Claims{oidctest.RolesClaim: roles(250)} }, nil},
		"large header": {func() oidctest.Claims { return nil }, map[string]any{"comment": strings.Repeat("x", 1800)}},
	} {
		t.Run(name, func(t *testing.T) {
			idp, v, iss := newCached(t, time.Now, nil)
			judged(t, v, idp.Token(t, "first"), "", 0)
			minted := make([]string, tokens)
			for i := range minted {
				minted[i] = idp.Key(t, "ES256").Sign(t, row.header, idp.AccessToken(fmt.Sprint("sensor-", i)).With(row.claims()))
			}
			before, counted := heaptest.InUse(), iss.verdicts.figures().Bytes
			for i := range minted {
				judged(t, v, minted[i], "", 0)
			}
			held, counted := heaptest.InUse()-before, iss.verdicts.figures().Bytes-counted
			if n := iss.verdicts.figures().Entries; n != tokens+1 {
				t.Fatalf("%d are kept", n)
			}
			if held > int64(counted)*5/4 {
				t.Errorf("%d bytes are held, %d counted", held, counted)
			}
			runtime.KeepAlive(minted)
		})
	}
}

func roles(n int) map[string]any {
	all := map[string]any{}
	for i := range n {
		all[fmt.Sprint("role-", i)] = map[string]string{"1": "a"}
	}
	return all
}
