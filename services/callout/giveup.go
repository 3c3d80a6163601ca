package callout

import (
	"context"

	"harmony.internal/authcallout/shared/wire"
)

// maxGiveUps bounds the requests that wait to be hung up on. Beyond it they are let go in silence.
const maxGiveUps = 4096

type givenUp struct {
	message message
	fail    *wire.Error
}

// giveUps hangs up on requests that were not taken on, in one goroutine: giving up must cost less than working, and must
// not hold up the dispatcher that gives up.
type giveUps struct {
	queue chan givenUp
	do    func(message, *wire.Error)
	// drop is called for a request that does not fit.
	drop func(message, *wire.Error)
}

func newGiveUps(do, drop func(message, *wire.Error)) *giveUps {
	return &giveUps{queue: make(chan givenUp, maxGiveUps), do: do, drop: drop}
}

// add never blocks.
func (g *giveUps) add(m message, fail *wire.Error) {
	select {
	case g.queue <- givenUp{m, fail}:
	default:
		g.drop(m, fail)
	}
}

// run works until ctx ends, and then on what is left.
func (g *giveUps) run(ctx context.Context) {
	for {
		select {
		case x := <-g.queue:
			g.do(x.message, x.fail)
		case <-ctx.Done():
			for {
				select {
				case x := <-g.queue:
					g.do(x.message, x.fail)
				default:
					return
				}
			}
		}
	}
}
