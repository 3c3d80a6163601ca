package callout

import (
	"context"
	"sync/atomic"

	"harmony.internal/authcallout/shared/wire"
)

// maxGiveUps and maxGiveUpBytes bound the requests that wait to be hung up on. Beyond them they are let go in silence.
const (
	maxGiveUps     = 4096
	maxGiveUpBytes = 16 << 20
)

type givenUp struct {
	message message
	fail    *wire.Error
}

// giveUps hangs up on requests that were not taken on, in one goroutine: giving up must cost less than working, and must
// not hold up the dispatcher that gives up.
type giveUps struct {
	queue chan givenUp
	bytes atomic.Int64 // of what is in queue or in work
	do    func(message, *wire.Error)
	// drop is called for a request that does not fit.
	drop func(message, *wire.Error)
}

func newGiveUps(do, drop func(message, *wire.Error)) *giveUps {
	return &giveUps{queue: make(chan givenUp, maxGiveUps), do: do, drop: drop}
}

// add never blocks.
func (g *giveUps) add(m message, fail *wire.Error) {
	size := m.size()
	if g.bytes.Add(size) <= maxGiveUpBytes {
		select {
		case g.queue <- givenUp{m, fail}:
			return
		default:
		}
	}
	g.bytes.Add(-size)
	g.drop(m, fail)
}

// end lets go of what was taken out of queue.
func (g *giveUps) end(x givenUp) {
	g.do(x.message, x.fail)
	g.bytes.Add(-x.message.size())
}

// run works until ctx ends, and then on what is left.
func (g *giveUps) run(ctx context.Context) {
	for {
		select {
		case x := <-g.queue:
			g.end(x)
		case <-ctx.Done():
			for {
				select {
				case x := <-g.queue:
					g.end(x)
				default:
					return
				}
			}
		}
	}
}
