package natsx

import "testing"

func TestIsInbox(t *testing.T) {
	for subject, want := range map[string]bool{
		"_INBOX.a": true, "_AUTH_INBOX.callout.a.b.on": true, "_R_.abc.x": true,
		"_GR_.abcdef.ghijkl._INBOX.a": true, "_GR_.abcdef.ghijkl._AUTH_INBOX.callout.a": true,
		"_GR_.abcdef.ghijkl.auth.v1.decision.admitted": false, "_GR_.abcdef._INBOX.a": false, "_GR_.": false, "_GR_._INBOX.a": false,
		"": false, "_INBOX": false, "auth._INBOX.a": false, "$SYS._INBOX.a": false,
	} {
		if got := isInbox(subject); got != want {
			t.Errorf("%q: %t, want %t", subject, got, want)
		}
	}
}
