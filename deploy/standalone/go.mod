module harmony.internal/authcallout/deploy/standalone

go 1.26.0

require (
	github.com/nats-io/nats-server/v2 v2.15.2
	github.com/nats-io/nats.go v1.55.0
	github.com/nats-io/nkeys v0.4.17
	go.uber.org/zap v1.28.0
	harmony.internal/authcallout/deploy/topology v0.0.0
	harmony.internal/authcallout/services/callout v0.0.0
	harmony.internal/authcallout/services/policy v0.0.0
	harmony.internal/authcallout/services/tokencheck v0.0.0
	harmony.internal/authcallout/shared v0.0.0
)

replace (
	harmony.internal/authcallout/deploy/topology => ../topology
	harmony.internal/authcallout/services/callout => ../../services/callout
	harmony.internal/authcallout/services/policy => ../../services/policy
	harmony.internal/authcallout/services/tokencheck => ../../services/tokencheck
	harmony.internal/authcallout/shared => ../../shared
)
