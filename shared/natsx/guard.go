package natsx

import (
	"runtime/debug"

	"go.uber.org/zap"

	"harmony.internal/authcallout/shared/wire"
)

// Source and GiveUp see a request outside its handler, and a panic in one of them must not end the process either.

// guarded returns source with a panic in it as the source "".
func (e *endpoint) guarded(source func(*Request) string) func(*Request) string {
	if source == nil {
		return nil
	}
	return func(r *Request) (name string) {
		defer func() {
			if p := recover(); p != nil {
				e.logPanic("a source", r, p)
				name = ""
			}
		}()
		return source(r)
	}
}

// letGoOf gives up one request; after a panic it is counted and not answered.
func (e *endpoint) letGoOf(g givenUp) {
	defer func() {
		if p := recover(); p != nil {
			e.logPanic("giving up", g.request, p)
			g.request.Count(wire.Fail(wire.Internal, "", nil))
		}
	}()
	e.giveUp(g.request, wire.Fail(g.code, "", nil))
}

func (e *endpoint) logPanic(where string, r *Request, p any) {
	e.log.Error("panic in "+where, zap.String("subject", r.Subject), zap.Any("panic", p), zap.ByteString("stack", debug.Stack()))
}
