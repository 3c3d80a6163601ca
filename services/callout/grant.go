package callout

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"harmony.internal/authcallout/shared/wire"
)

// Bounds of a grant, checked again here: policy decides, but only what is checked is signed.
const (
	maxRuleName     = 128
	maxDeviceID     = 256
	maxSubjectBytes = 1024
	maxSubjects     = 16384 // on all lists together; max_user_jwt_bytes bounds their text
	maxResponses    = 1 << 20
	maxResponseTTL  = int64(24 * 60 * 60 * 1000) // milliseconds
	maxSessionS     = int64(10 * 365 * 24 * 60 * 60)
)

// checkGrant returns what is malformed in g, nil if nothing is, as BadReply: policy answered and broke the contract,
// so the client is not told no. accounts are the names that a grant may carry.
func checkGrant(g *wire.Grant, accounts []string) *wire.Error {
	bad := func(detail string) *wire.Error { return wire.Fail(wire.BadReply, "grant: "+detail, nil) }
	total := len(g.Publish.Allow) + len(g.Publish.Deny) + len(g.Subscribe.Allow) + len(g.Subscribe.Deny)
	switch {
	case !isText(g.Rule, maxRuleName):
		return bad("rule")
	case g.Device != "" && !isLiteralToken(g.Device):
		return bad("device")
	case !slices.Contains(accounts, g.Account):
		return bad("account is not one of allowed_accounts")
	case total > maxSubjects:
		return wire.Fail(wire.GrantTooLarge, "too many subjects", nil)
	case g.MaxSessionSeconds < 0 || g.MaxSessionSeconds > maxSessionS:
		return bad("max_session_s")
	case g.Responses != nil && !validResponses(*g.Responses):
		return bad("responses")
	case !allSubjects(g.Publish, false):
		return bad("publish holds something that is no subject")
	case !allSubjects(g.Subscribe, true):
		return bad("subscribe holds something that is no subject")
	}
	return nil
}

// validResponses refuses 0 and less: nats-server takes 0 as its default and -1 as no bound.
func validResponses(r wire.Responses) bool {
	return r.Max >= 1 && r.Max <= maxResponses && r.TTLMillis >= 1 && r.TTLMillis <= maxResponseTTL
}

func allSubjects(p wire.Permissions, queues bool) bool {
	for _, list := range [][]string{p.Allow, p.Deny} {
		for _, s := range list {
			subject, queue, hasQueue := strings.Cut(s, " ")
			if !isSubject(subject) || hasQueue && (!queues || !isSubject(queue)) {
				return false
			}
		}
	}
	return true
}

// isSubject says whether s is a subject to nats-server (server/sublist.go, isValidSubject), and is bounded, valid UTF-8
// and without control characters besides.
func isSubject(s string) bool {
	if s == "" || len(s) > maxSubjectBytes || !utf8.ValidString(s) {
		return false
	}
	for _, r := range s {
		if r == utf8.RuneError || unicode.IsControl(r) || unicode.IsSpace(r) {
			return false
		}
	}
	last := false
	for token := range strings.SplitSeq(s, ".") {
		if token == "" || last {
			return false
		}
		last = token == ">"
	}
	return true
}

// isLiteralToken says whether s can be one literal token of a subject (DESIGN P6).
func isLiteralToken(s string) bool {
	return len(s) <= maxDeviceID && isSubject(s) && !strings.ContainsAny(s, ".*>") && s[0] != '$'
}

// isText says whether s is non-empty, bounded and printable.
func isText(s string, maxBytes int) bool {
	return s != "" && len(s) <= maxBytes && utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}
