// Demodevice is a device to watch: it obtains a token with its key, connects, publishes its state, and prints the commands
// that it is sent. It obtains a new token for every connection, as a device should: its session ends with the old one.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"

	"harmony.internal/authcallout/deploy/devidp"
)

type options struct {
	url, device string
	token       devidp.TokenRequest
	interval    time.Duration
}

func main() {
	var o options
	flag.StringVar(&o.url, "url", nats.DefaultURL, "server `URL`")
	flag.StringVar(&o.device, "device", "sensor-demo", "device `id`")
	flag.StringVar(&o.token.Issuer, "issuer", "", "issuer `URL`")
	flag.StringVar(&o.token.KeyFile, "key-file", "", "machine key `file`")
	flag.StringVar(&o.token.Project, "project", devidp.DefaultProject, "project `id`")
	flag.DurationVar(&o.interval, "interval", 5*time.Second, "how often to publish the state")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, o)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) error {
	nc, err := nats.Connect(o.url, nats.Name(o.device), nats.MaxReconnects(-1), nats.RetryOnFailedConnect(true),
		nats.TokenHandler(func() string {
			token, err := devidp.Token(ctx, o.token)
			if err != nil {
				fmt.Println("no token:", err)
			}
			return token
		}),
		nats.ConnectHandler(func(*nats.Conn) { fmt.Println("connected") }),
		nats.ReconnectHandler(func(*nats.Conn) { fmt.Println("connected again") }),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) { fmt.Println("disconnected:", err) }),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { fmt.Println("error:", err) }))
	if err != nil {
		return err
	}
	defer nc.Close()
	if _, err := nc.Subscribe("device-commands."+o.device, func(m *nats.Msg) { fmt.Printf("command: %q\n", m.Data) }); err != nil {
		return err
	}
	tick := time.NewTicker(o.interval)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			if err := nc.Publish("device-state."+o.device, fmt.Appendf(nil, `{"n":%d}`, n)); err != nil {
				fmt.Println("not published:", err)
			}
		}
	}
}
