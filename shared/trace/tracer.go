package trace

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	api "go.opentelemetry.io/otel/trace"
)

// Tracer begins the spans of one process. nil is off. Safe for concurrent use.
type Tracer struct {
	provider *sdk.TracerProvider
	tracer   api.Tracer
}

// About names a process.
type About struct {
	// Service is callout, tokencheck or policy. Traces show it with the prefix "authcallout-", unless OTEL_SERVICE_NAME or
	// OTEL_RESOURCE_ATTRIBUTES say otherwise.
	Service string
	Version string
}

// scope names what makes the spans.
const scope = "harmony.internal/authcallout"

// New returns a Tracer that hands its spans to processor.
func New(about About, processor sdk.SpanProcessor) (*Tracer, error) {
	r, err := resource.New(context.Background(),
		resource.WithTelemetrySDK(),
		resource.WithAttributes(attribute.String("service.name", "authcallout-"+about.Service), attribute.String("service.version", about.Version)),
		resource.WithFromEnv())
	if err != nil {
		return nil, fmt.Errorf("tracing: %w", err)
	}
	// The sampler is the environment's (OTEL_TRACES_SAMPLER): every login unless it says otherwise.
	provider := sdk.NewTracerProvider(sdk.WithResource(r), sdk.WithSpanProcessor(processor))
	return &Tracer{provider: provider, tracer: provider.Tracer(scope, api.WithInstrumentationVersion(about.Version))}, nil
}

// FromEnvironment returns the Tracer that the OpenTelemetry variables ask for: nil unless OTEL_EXPORTER_OTLP_ENDPOINT or
// OTEL_EXPORTER_OTLP_TRACES_ENDPOINT names a collector, or OTEL_TRACES_EXPORTER is otlp; nil with OTEL_SDK_DISABLED=true or
// OTEL_TRACES_EXPORTER=none. It speaks OTLP over HTTP with protobuf, and refuses what asks for anything else. A collector that
// cannot be reached is no error.
func FromEnvironment(ctx context.Context, about About) (*Tracer, error) {
	on, err := wanted(os.Getenv)
	if err != nil || !on {
		return nil, err
	}
	exporter, err := otlptracehttp.New(ctx)
	if err != nil {
		return nil, fmt.Errorf("tracing: %w", err)
	}
	return New(about, sdk.NewBatchSpanProcessor(exporter))
}

// wanted reads the variables of the OpenTelemetry specification that turn tracing on and off.
func wanted(variable func(string) string) (bool, error) {
	if strings.EqualFold(variable("OTEL_SDK_DISABLED"), "true") {
		return false, nil
	}
	on := variable("OTEL_EXPORTER_OTLP_ENDPOINT") != "" || variable("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") != ""
	switch exporter := variable("OTEL_TRACES_EXPORTER"); exporter {
	case "":
	case "otlp":
		on = true
	case "none":
		return false, nil
	default:
		return false, fmt.Errorf("OTEL_TRACES_EXPORTER is %q: otlp or none", exporter)
	}
	if !on {
		return false, nil
	}
	for _, name := range []string{"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"} {
		if protocol := variable(name); protocol != "" {
			if protocol != "http/protobuf" {
				return false, fmt.Errorf("%s is %q: http/protobuf is what this program speaks, to a collector's port 4318", name, protocol)
			}
			break // the one for traces decides
		}
	}
	return true, nil
}

// stopTimeout bounds the sending of what is left.
const stopTimeout = 3 * time.Second

// Stop sends what is left, for a few seconds at most. It does nothing on nil.
func (t *Tracer) Stop() {
	if t == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	_ = t.provider.Shutdown(ctx) // what cannot be sent is lost, and the process ends
}
