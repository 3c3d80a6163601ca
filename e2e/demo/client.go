package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"harmony.internal/authcallout/shared/logx"
)

// client is a connection, what the server refuses it, and nothing else that a device would not have.
type client struct {
	*nats.Conn
	refused chan error
}

// device connects a device with its token.
func (s *stage) device(ctx context.Context, name, token string) (*client, error) {
	return s.connect(ctx, name, nats.Token(token))
}

// platform connects the platform with its password.
func (s *stage) platform(ctx context.Context) (*client, error) {
	password, err := os.ReadFile(s.path(serverData, "keys", "platform.password"))
	if err != nil {
		return nil, err
	}
	return s.connect(ctx, "platform", nats.UserInfo("platform", string(password)))
}

// connect tries as long as a client with patience does: until the server says no.
func (s *stage) connect(ctx context.Context, name string, how nats.Option) (*client, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	c := &client{refused: make(chan error, 64)}
	for {
		var err error
		c.Conn, err = nats.Connect(s.url, nats.Name(name), how, nats.Timeout(patience), nats.MaxReconnects(0),
			nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
				select {
				case c.refused <- err:
				default: // nobody waits for so many
				}
			}))
		if err == nil {
			return c, nil
		}
		if errors.Is(err, nats.ErrAuthorization) {
			return nil, fmt.Errorf("%s is not let in: %w", name, err)
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("%s cannot connect: %w", name, err)
		case <-time.After(poll):
		}
	}
}

// subscribe returns a subscription that the server has dealt with.
func (c *client) subscribe(subject string) (*nats.Subscription, error) {
	sub, err := c.SubscribeSync(subject)
	if err != nil {
		return nil, err
	}
	return sub, c.FlushTimeout(patience)
}

// send publishes and returns when the server has dealt with it.
func (c *client) send(subject, text string) error {
	if err := c.Publish(subject, []byte(text)); err != nil {
		return err
	}
	return c.FlushTimeout(patience)
}

// expect returns nil when text is the next that arrives.
func expect(sub *nats.Subscription, text string) error {
	m, err := sub.NextMsg(patience)
	switch {
	case err != nil:
		return fmt.Errorf("%q did not arrive on %s: %w", text, sub.Subject, err)
	case string(m.Data) != text:
		return fmt.Errorf("%q arrived on %s, and %q was expected", m.Data, sub.Subject, text)
	}
	return nil
}

// refusalPatience is for what the server has said already: it answered the flush behind the attempt.
const refusalPatience = 10 * time.Second

// expectRefusal returns the server's words for a permissions violation.
func (c *client) expectRefusal(verb, subject string) (string, error) {
	want := strings.ToLower(fmt.Sprintf("%s to %q", verb, subject))
	for deadline := time.After(refusalPatience); ; {
		select {
		case err := <-c.refused:
			if errors.Is(err, nats.ErrPermissionViolation) && strings.Contains(strings.ToLower(err.Error()), want) {
				return err.Error(), nil
			}
		case <-deadline:
			return "", fmt.Errorf("the server did not refuse a %s", want)
		}
	}
}

// record is a decision record, as far as the story needs it.
type record struct {
	Msg, Outcome, Reason, Rule, Device, Account, Expires string
	Code                                                 int
	Client                                               string  `json:"client_name"`
	Milliseconds                                         float64 `json:"total_ms"`
}

// decision returns the last record about the client of this name.
func (s *stage) decision(ctx context.Context, name string) (record, error) {
	var last record
	err := s.server.wait(ctx, "logs a decision about "+name, func() bool {
		found := false
		for _, line := range s.server.log.lines() {
			var r record
			if json.Unmarshal([]byte(line), &r) == nil && r.Msg == "decision" && r.Client == name {
				last, found = r, true
			}
		}
		return found
	})
	return last, err
}

// text is the record as a person reads it, under the names that it has in the log.
func (r record) text() string {
	fields := []struct{ name, value string }{
		{logx.Outcome, r.Outcome}, {logx.Reason, r.Reason}, {logx.Rule, r.Rule}, {logx.Device, r.Device}, {logx.Account, r.Account}, {logx.Expires, r.Expires},
	}
	var parts []string
	for _, f := range fields {
		if f.value != "" {
			parts = append(parts, f.name+"="+f.value)
		}
	}
	if r.Code != 0 {
		parts = append(parts, fmt.Sprintf("%s=%d", logx.Code, r.Code))
	}
	return strings.Join(append(parts, fmt.Sprintf("%s=%.1f", logx.TotalMS, r.Milliseconds)), " ")
}
