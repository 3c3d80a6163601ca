package natsx

import (
	"strings"

	"go.uber.org/zap"

	"harmony.internal/authcallout/shared/wire"
)

// inboxes are where answers go: this project's, nats.go's, and those that nats-server makes for a request from another account.
var inboxes = []string{inboxRoot, "_INBOX.", "_R_."}

// maxShownReply bounds what the log shows of a subject that somebody chose.
const maxShownReply = 128

func isInbox(subject string) bool {
	for _, prefix := range inboxes {
		if strings.HasPrefix(subject, prefix) {
			return true
		}
	}
	return false
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
