package callout

import (
	"slices"
	"testing"
)

// TestDeniesWide: a wildcard gives no way around the fence, and a rule that names what it gives has it.
func TestDeniesWide(t *testing.T) {
	domain := []string{"$JS.*.API.STREAM.CREATE.>", "$JS.*.API.STREAM.UPDATE.>", "$JS.*.API.STREAM.RESTORE.>"}
	plain := []string{"$JS.API.STREAM.CREATE.>", "$JS.API.STREAM.UPDATE.>", "$JS.API.STREAM.RESTORE.>"}
	for _, tt := range []struct {
		allow, want []string
	}{
		{[]string{">"}, wide},
		{[]string{"*.>"}, wide},
		{[]string{"$JS.>"}, slices.Concat(plain, domain)},
		{[]string{"$JS.API.>"}, slices.Concat(plain, domain)}, // a domain may be called API
		{[]string{"$JS.API.STREAM.*.x"}, plain},
		{[]string{"$JS.hub.API.>"}, domain},
		{[]string{"$JS.API.STREAM.CREATE.x"}, nil},
		{[]string{"$JS.API.STREAM.CREATE.>"}, nil},
		{[]string{"$JS.API.>", "$JS.API.STREAM.CREATE.x"}, slices.Concat(plain[1:], domain)},
		{[]string{"$JS.hub.API.STREAM.CREATE.x", "$JS.hub.API.STREAM.INFO.x"}, nil},
		{[]string{"$SYS.REQ.>"}, []string{"$SYS.REQ.ACCOUNT.>", "$SYS.REQ.SERVER.>"}},
		{[]string{"$SYS.REQ.ACCOUNT.PING.CONNZ", "$SYS.REQ.SERVER.PING.CONNZ"}, nil},
		{[]string{"$SRV.PING", "$SRV.INFO.>"}, nil},
		{[]string{"$JS.API.STREAM.INFO.KV_config", "$JS.API.CONSUMER.CREATE.KV_config.*.$KV.config.a.>", "$KV.config.a.>", "_INBOX.>", "device-state.a"}, nil},
	} {
		if got := deniesWide(tt.allow); !slices.Equal(got, tt.want) {
			t.Errorf("%q: %q, want %q", tt.allow, got, tt.want)
		}
	}
}
