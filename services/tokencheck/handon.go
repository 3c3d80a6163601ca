package tokencheck

import (
	"context"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"harmony.internal/authcallout/shared/natsx"
	"harmony.internal/authcallout/shared/wire"
)

// handOns hand good tokens on to policy, which answers who asked: a login is then three messages in place of four. It is never
// necessary; where it cannot be done tokencheck answers itself, and who asked asks policy. Safe for concurrent use.
type handOns struct {
	onward *natsx.Onward
	log    *zap.Logger
	count  atomic.Int64
}

func newHandOns(conn *natsx.Conn, subjects wire.Subjects, log *zap.Logger) *handOns {
	subject := subjects.PolicyDecide()
	return &handOns{log: log, onward: conn.Onward(subject, func(err error) {
		log.Warn("verified tokens are not handed on to policy: each login costs a message more; give this user the permission to publish there",
			zap.String("subject", subject), zap.Error(err))
	})}
}

// handOn hands r on, with the encoded Verified of its token, and reports whether it did.
func (h *handOns) handOn(ctx context.Context, r *natsx.Request, verified []byte, c *wire.Client) bool {
	if !h.onward.Open() {
		return false
	}
	took := wire.HandedOn{CheckMicros: time.Since(r.Received).Microseconds()}
	if err := r.HandOn(ctx, h.onward, wire.EncodeHandedOn(verified, c, &took), verified); err != nil {
		h.log.Debug("not handed on", zap.String("request_id", r.ID), zap.Error(err))
		return false
	}
	h.count.Add(1)
	return true
}
