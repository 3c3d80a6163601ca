package callout

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"harmony.internal/authcallout/shared/config"
	"harmony.internal/authcallout/shared/natstest"
	"harmony.internal/authcallout/shared/natsx"
	"harmony.internal/authcallout/shared/wire"
)

// With nobody who publishes, offers neither block nor grow beyond the bound.
func TestPublisherDoesNotBlock(t *testing.T) {
	p := newPublisher(wire.Subjects{}, "1.0.0")
	for range maxUnpublished + 7 {
		p.offer(outcomeAdmitted, time.Now(), nil)
	}
	if _, dropped := p.counts(); dropped != 7 || len(p.queue) != maxUnpublished {
		t.Errorf("%d dropped, %d wait", dropped, len(p.queue))
	}
	var none *publisher
	none.offer(outcomeAdmitted, time.Now(), nil)
}

// Without the permission there is one warning, the records are counted as dropped, and after a reconnect with the
// permission they are published.
func TestPublisherWithoutPermission(t *testing.T) {
	conf := func(publish string) string {
		return `authorization { users: [ { user: callout, password: secret, permissions: { publish: ` + publish + `, subscribe: ">" } }, { user: reader, password: secret } ] }`
	}
	server := natstest.Run(t, conf(`"nothing"`))
	core, logs := observer.New(zapcore.InfoLevel)
	password := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(password, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	conn, err := natsx.Connect(natsx.Config{URLs: []string{server.ClientURL()}, User: "callout", PasswordFile: config.Path(password)}, "callout", zap.New(core))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	subjects, err := wire.NewSubjects("")
	if err != nil {
		t.Fatal(err)
	}
	p := newPublisher(subjects, "1.0.0")
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	defer running.Wait()
	defer stop()
	running.Go(func() { p.run(ctx, conn, zap.New(core)) })
	dropped := func() int64 { _, n := p.counts(); return n }
	natstest.Eventually(t, "records are dropped", func() bool {
		p.offer(outcomeAdmitted, time.Now(), nil)
		return dropped() > 3
	})
	if n := logs.FilterMessageSnippet("decisions are not published").Len(); n != 1 {
		t.Errorf("%d warnings", n)
	}
	if n := logs.FilterMessageSnippet("refuses a subject").Len(); n != 0 {
		t.Errorf("%d further entries about the permission", n)
	}

	port := server.Addr().(*net.TCPAddr).Port
	server.Shutdown()
	server.WaitForShutdown()
	again := natstest.ParseConfig(t, conf(`"auth.v1.decision.*"`))
	again.Port = port
	natstest.RunOptions(t, again)
	before, _ := p.counts()
	natstest.Eventually(t, "records are published", func() bool {
		p.offer(outcomeAdmitted, time.Now(), nil)
		n, _ := p.counts()
		return n > before+3
	})
}
