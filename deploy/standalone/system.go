package standalone

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"go.uber.org/zap"

	"harmony.internal/authcallout/services/callout"
	"harmony.internal/authcallout/services/policy"
	"harmony.internal/authcallout/services/tokencheck"
	"harmony.internal/authcallout/shared/config"
)

// System is the configuration of everything in one data directory.
type System struct {
	Warnings config.Problems

	server     *server.Options
	callout    *callout.Config
	tokencheck *tokencheck.Config
	policy     *policy.Config
}

// Load reads the files of a data directory and reports everything that is wrong with them.
func Load(dir string) (*System, error) {
	if missing, err := missingFiles(dir); err != nil {
		return nil, err
	} else if len(missing) > 0 {
		return nil, fmt.Errorf("%s: there is no configuration yet, or a part is missing: start once with -issuer and -project, which writes what is not there", dir)
	}
	s := &System{callout: &callout.Config{}, tokencheck: &tokencheck.Config{}, policy: &policy.Config{}}
	var errs []error
	var err error
	if s.server, err = readServerConfig(filepath.Join(dir, ServerFile)); err != nil {
		errs = append(errs, err)
	}
	for _, file := range []struct {
		name string
		into config.Checker
	}{{CalloutFile, s.callout}, {TokencheckFile, s.tokencheck}, {PolicyFile, s.policy}} {
		warnings, err := config.Load(filepath.Join(dir, file.name), file.into)
		if err != nil {
			errs = append(errs, err)
		}
		s.Warnings = append(s.Warnings, warnings...)
	}
	if len(errs) == 0 {
		errs = s.disagreements(dir)
		s.Warnings = append(s.Warnings, s.misfits(dir)...)
	}
	return s, errors.Join(errs...)
}

func readServerConfig(file string) (*server.Options, error) {
	opts, err := server.ProcessConfigFile(file)
	if err != nil {
		return nil, err
	}
	if opts.Port == 0 {
		opts.Port = server.DEFAULT_PORT
	}
	opts.NoSigs = true // signals are the process's
	return opts, nil
}

// probe looks at what the files name and only running shows.
func (s *System) probe(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	return tokencheck.Program().Probe(ctx, s.tokencheck)
}

const probeTimeout = 15 * time.Second

// Run serves until ctx ends, then lets the services answer what they took on, stops the server and returns nil. An error
// means that a part ended by itself; the others are stopped the same way. Each value on hangup reads the server's
// configuration file again.
func (s *System) Run(ctx context.Context, log *zap.Logger, hangup <-chan os.Signal) error {
	ns, err := startServer(s.server, log)
	if err != nil {
		return err
	}
	running, end := context.WithCancelCause(ctx)
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		ns.WaitForShutdown()
		end(errServerEnded)
	}()
	defer func() {
		ns.Shutdown()
		<-stopped
	}()

	services, err := s.services(ctx, nats.InProcessServer(ns))
	if err != nil {
		return err
	}
	defer func() {
		for _, service := range services {
			service.trace.Stop()
		}
	}()
	var parts sync.WaitGroup
	failed := make([]error, len(services))
	for i, service := range services {
		parts.Go(func() {
			err := service.Run(running)
			if err == nil && running.Err() == nil {
				err = errEnded
			}
			if err != nil {
				failed[i] = fmt.Errorf("%s: %w", service.name, err)
				end(failed[i])
			}
		})
	}
	parts.Go(func() { announce(running, ns, s.server.AuthCallout.Account, services, log) })
	reloadUntil(running, ns, hangup, log)
	log.Info("draining")
	parts.Wait()
	if errors.Is(context.Cause(running), errServerEnded) {
		return errServerEnded
	}
	return errors.Join(failed...)
}

var (
	errEnded       = errors.New("ended without being asked to")
	errServerEnded = fmt.Errorf("nats-server: %w", errEnded)
)

// reloadUntil serves hangup until ctx ends.
func reloadUntil(ctx context.Context, ns *server.Server, hangup <-chan os.Signal, log *zap.Logger) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangup:
			if err := ns.Reload(); err != nil {
				log.Error("nats-server.conf is not taken over; the one before it stays in force", zap.Error(err))
				continue
			}
			log.Info("nats-server.conf is read again")
		}
	}
}
