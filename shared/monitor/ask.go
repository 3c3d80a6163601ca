package monitor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/nats-io/nats.go"
)

// maxAnswer bounds what a process says about its health.
const maxAnswer = 64 << 10

// askTimeout is longer than a look of the process that is asked.
const askTimeout = checkTimeout + time.Second

// Ask asks the process that listens on listen, on this host, whether it is ready (or, live, only whether it is there),
// and returns what is wrong.
func Ask(ctx context.Context, listen string, live bool) error {
	address, err := reach(listen)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	path := "/readyz"
	if live {
		path = "/healthz"
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+path, nil)
	if err != nil {
		return err
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}} // no proxy: it is this host
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }() // read only: nothing can be lost
	if response.StatusCode == http.StatusOK {
		return nil
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	var state Readiness
	if err != nil || json.Unmarshal(body, &state) != nil || len(state.Checks) == 0 {
		return fmt.Errorf("%s answers %s", path, response.Status)
	}
	return fmt.Errorf("not ready: %s", state.String())
}

// Neighbour returns a check that holds while at least one replica that answers on subject says that it is ready.
func Neighbour(nc *nats.Conn, name, subject string) Check {
	return Check{Name: name, Do: func(ctx context.Context) error { return askNeighbour(ctx, nc, subject) }}
}

// neighbourPatience bounds the wait for a neighbour's replicas; less than checkTimeout, more than a healthy one takes.
const neighbourPatience = 1500 * time.Millisecond

func askNeighbour(ctx context.Context, nc *nats.Conn, subject string) error {
	ctx, cancel := context.WithTimeout(ctx, neighbourPatience)
	defer cancel()
	replies, err := nc.SubscribeSync(nc.NewRespInbox())
	if err != nil {
		return err
	}
	defer func() { _ = replies.Unsubscribe() }() // the connection may be closed by then
	if err := nc.PublishRequest(subject, replies.Subject, nil); err != nil {
		return err
	}
	last := errors.New("no replica answers")
	for {
		m, err := replies.NextMsgWithContext(ctx)
		var state Readiness
		switch {
		case errors.Is(err, nats.ErrNoResponders):
			return errors.New("no replica serves")
		case err != nil:
			return last
		case len(m.Data) > maxAnswer || json.Unmarshal(m.Data, &state) != nil:
			last = errors.New("an answer that is none")
		case state.Ready:
			return nil
		default:
			last = errors.New("no replica is ready: " + state.String())
		}
	}
}
