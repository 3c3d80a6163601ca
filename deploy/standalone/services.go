package standalone

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"go.uber.org/zap"

	"harmony.internal/authcallout/services/callout"
	"harmony.internal/authcallout/services/policy"
	"harmony.internal/authcallout/services/tokencheck"
	"harmony.internal/authcallout/shared/logx"
	"harmony.internal/authcallout/shared/run"
	"harmony.internal/authcallout/shared/trace"
	"harmony.internal/authcallout/shared/wire"
)

// service is one of the three.
type service struct {
	name    string
	subject string // of its endpoint
	runner
	trace *trace.Tracer // nil for off
}

// runner serves until ctx ends and then drains.
type runner interface {
	Run(ctx context.Context) error
}

// services makes the three as their processes do, except that they reach the server by option.
func (s *System) services(ctx context.Context, option nats.Option) ([]service, error) {
	options := []nats.Option{option}
	subjects, err := wire.NewSubjects(s.callout.NATS.SubjectPrefix)
	if err != nil {
		return nil, err
	}
	var all []service
	for _, one := range []struct {
		name, subject string
		log           logx.Config
		make          func(*zap.Logger, *trace.Tracer) (runner, error)
	}{
		{wire.QueueTokencheck, subjects.TokenCheck(), s.tokencheck.Log, func(log *zap.Logger, t *trace.Tracer) (runner, error) {
			return tokencheck.New(s.tokencheck, tokencheck.Deps{Log: log, Version: run.Version, NATSOptions: options, Trace: t})
		}},
		{wire.QueuePolicy, subjects.PolicyDecide(), s.policy.Log, func(log *zap.Logger, t *trace.Tracer) (runner, error) {
			return policy.New(s.policy, policy.Deps{Log: log, Version: run.Version, NATSOptions: options, Trace: t})
		}},
		{wire.QueueCallout, wire.SubjectUserAuth, s.callout.Log, func(log *zap.Logger, t *trace.Tracer) (runner, error) {
			return callout.New(s.callout, callout.Deps{Log: log, Version: run.Version, NATSOptions: options, Trace: t})
		}},
	} {
		log, err := logx.New(one.log, one.name, run.Version)
		if err != nil {
			return nil, err
		}
		tracer, err := trace.FromEnvironment(ctx, trace.About{Service: one.name, Version: run.Version})
		if err != nil {
			return nil, err
		}
		r, err := one.make(log, tracer)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", one.name, err)
		}
		all = append(all, service{one.name, one.subject, r, tracer})
	}
	return all, nil
}

const (
	announcePoll = 10 * time.Millisecond
	// announcePatience is when a person wants to know what is missing.
	announcePatience = 10 * time.Second
)

// announce says once that devices can log in, which is when the server knows every service's subscription; and what is
// missing when that takes long.
func announce(ctx context.Context, ns *server.Server, account string, services []service, log *zap.Logger) {
	tick := time.NewTicker(announcePoll)
	defer tick.Stop()
	late := time.After(announcePatience)
	for {
		missing := withoutInterest(ns, account, services)
		if len(missing) == 0 {
			log.Info("ready", zap.String("url", ns.ClientURL()))
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-late:
			log.Warn("not ready yet: these services have not subscribed; look at their entries in this log", zap.Strings("services", missing))
		case <-tick.C:
		}
	}
}

// withoutInterest returns the services that do not listen yet.
func withoutInterest(ns *server.Server, name string, services []service) []string {
	var missing []string
	account, err := ns.LookupAccount(name)
	for _, s := range services {
		if err != nil || account.Interest(s.subject) == 0 {
			missing = append(missing, s.name)
		}
	}
	return missing
}
