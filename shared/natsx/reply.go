package natsx

import (
	"strings"

	"go.uber.org/zap"

	"harmony.internal/authcallout/shared/wire"
)

// What nats-server makes of a reply subject: of a request from another account (server/accounts.go, replyPrefix), and of one that came over a
// gateway, with the hashes of a cluster and a server behind it (server/gateway.go, gwReplyPrefix). A client can answer there, and cannot
// name such a subject in a request of its own.
const (
	importedReply = "_R_."
	gatewayReply  = "_GR_."
)

// inboxes are where answers go: this project's, nats.go's, and those that nats-server makes.
var inboxes = []string{inboxRoot, "_INBOX.", importedReply}

// maxShownReply bounds what the log shows of a subject that somebody chose.
const maxShownReply = 128

func isInbox(subject string) bool {
	if rest, routed := strings.CutPrefix(subject, gatewayReply); routed {
		_, rest, _ = strings.Cut(rest, ".")
		_, subject, _ = strings.Cut(rest, ".")
	}
	for _, prefix := range inboxes {
		if strings.HasPrefix(subject, prefix) {
			return true
		}
	}
	return false
}

// ofServer says that nats-server made the reply subject.
func ofServer(reply string) bool {
	return strings.HasPrefix(reply, importedReply) || strings.HasPrefix(reply, gatewayReply)
}

// mayAnswer reports whether r's answer may go where r says. A request that wants none is no harm.
func (e *endpoint) mayAnswer(r *Request) bool {
	if e.anyReply || r.reply == "" || isInbox(r.reply) {
		return true
	}
	r.Count(wire.Fail(wire.BadRequest, "", nil))
	e.strayed.Do(func() {
		e.log.Warn("a request names no inbox for its answer and is dropped: who may ask must not have this service publish anywhere",
			zap.String("subject", r.Subject), zap.String("reply", r.reply[:min(len(r.reply), maxShownReply)]), zap.Strings("inboxes", inboxes))
	})
	return false
}
