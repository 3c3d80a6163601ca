package bench

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
)

// answeredSubject is where a callout of this tool says how many requests it has answered.
const answeredSubject = "bench.answered"

// RunSmallest serves the smallest possible callout until ctx ends: it checks nothing and signs a constant grant with jwt/v2
// and nkeys as they come, with as many workers as there are processors. With perRequest it starts a goroutine for each
// request instead and bounds nothing: what a straightforward responder does.
func RunSmallest(ctx context.Context, url, issuerFile, xkeyFile string, perRequest bool) error {
	c := &smallest{}
	var err error
	if c.issuer, err = keyPair(issuerFile, nkeys.FromSeed); err != nil {
		return err
	}
	if xkeyFile != "" {
		if c.xkey, err = keyPair(xkeyFile, nkeys.FromCurveSeed); err != nil {
			return err
		}
	}
	nc, err := nats.Connect(url, nats.UserInfo(serviceUser, servicePassword), nats.MaxReconnects(-1), nats.ReconnectWait(250*time.Millisecond))
	if err != nil {
		return err
	}
	defer nc.Close()
	queue := make(chan *nats.Msg, 1<<17)
	if _, err := nc.ChanQueueSubscribe("$SYS.REQ.USER.AUTH", "callout", queue); err != nil {
		return err
	}
	if _, err := nc.Subscribe(answeredSubject, func(m *nats.Msg) { _ = m.Respond(fmt.Append(nil, c.answered.Load())) }); err != nil {
		return err
	}
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for {
				select {
				case <-ctx.Done():
					return
				case m := <-queue:
					if perRequest {
						go c.answer(m)
					} else {
						c.answer(m)
					}
				}
			}
		})
	}
	workers.Wait()
	return nil
}

type smallest struct {
	issuer, xkey nkeys.KeyPair
	answered     atomic.Int64
}

func keyPair(file string, parse func([]byte) (nkeys.KeyPair, error)) (nkeys.KeyPair, error) {
	seed, err := os.ReadFile(file) //nolint:gosec // the tool's own file
	if err != nil {
		return nil, err
	}
	return parse([]byte(strings.TrimSpace(string(seed))))
}

func (c *smallest) answer(m *nats.Msg) {
	data, err := c.respond(m)
	if err == nil {
		err = m.Respond(data)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return
	}
	c.answered.Add(1)
}

func (c *smallest) respond(m *nats.Msg) ([]byte, error) {
	data := m.Data
	serverXKey := m.Header.Get("Nats-Server-Xkey")
	var err error
	if c.xkey != nil {
		if data, err = c.xkey.Open(data, serverXKey); err != nil {
			return nil, err
		}
	}
	request, err := jwt.DecodeAuthorizationRequestClaims(string(data))
	if err != nil {
		return nil, err
	}
	user := jwt.NewUserClaims(request.UserNkey)
	user.Audience = "DEVICES"
	user.Pub.Allow.Add("device-state.constant", "_INBOX.>")
	user.Sub.Allow.Add("device-commands.constant", "_INBOX.>")
	user.Expires = time.Now().Add(time.Hour).Unix()
	userJWT, err := user.Encode(c.issuer)
	if err != nil {
		return nil, err
	}
	response := jwt.NewAuthorizationResponseClaims(request.UserNkey)
	response.Audience = request.Server.ID
	response.Jwt = userJWT
	text, err := response.Encode(c.issuer)
	if err != nil || c.xkey == nil {
		return []byte(text), err
	}
	return c.xkey.Seal([]byte(text), serverXKey)
}
