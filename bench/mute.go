package bench

import (
	"context"
	"flag"
	"time"

	"github.com/nats-io/nats.go"
)

// RunMute serves a callout that takes every request and answers none, until ctx ends: what is left of a machine beside it is what any
// callout can have there.
func RunMute(ctx context.Context, url string) error {
	nc, err := nats.Connect(url, nats.UserInfo(serviceUser, servicePassword), nats.MaxReconnects(-1), nats.ReconnectWait(250*time.Millisecond))
	if err != nil {
		return err
	}
	defer nc.Close()
	if _, err := nc.QueueSubscribe("$SYS.REQ.USER.AUTH", "callout", func(*nats.Msg) {}); err != nil {
		return err
	}
	if _, err := nc.Subscribe(answeredSubject, func(m *nats.Msg) { _ = m.Respond([]byte("0")) }); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

func mainMute(ctx context.Context, args []string) error {
	f := flag.NewFlagSet("mute", flag.ContinueOnError)
	url := f.String("url", "", "where to connect")
	if err := f.Parse(args); err != nil {
		return err
	}
	return RunMute(ctx, *url)
}

// Mute starts a nats-server and a callout that answers nobody.
func (l *Lab) Mute() (*System, error) {
	return l.start("nobody answers", Options{}, true, func(s *System) error {
		s.answered = smallestAnswered
		if err := s.add("callout", l.Self, "mute", "-url", "nats://"+s.Addr); err != nil {
			return err
		}
		return s.until("requests are taken", func() bool {
			_, err := s.Answered()
			return err == nil
		})
	})
}
