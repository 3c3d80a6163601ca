package trace

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	api "go.opentelemetry.io/otel/trace"
)

// Attributes of the semantic conventions for messaging.
const (
	attributeSystem  = attribute.Key("messaging.system")
	attributeSubject = attribute.Key("messaging.destination.name")
	systemNATS       = "nats"
)

// Prefix is before the name of every attribute of this project.
const Prefix = "authcallout."

// Span is one piece of work. nil is a span of a trace that is off. Safe for concurrent use.
type Span struct {
	tracer *Tracer
	span   api.Span
	// ctx is what OpenTelemetry finds the span by; it ends with nothing.
	ctx context.Context
}

type contextKey struct{}

// spanContext is a handler's context with its span; everything but Value is the handler's own.
type spanContext struct {
	context.Context
	span *Span
}

func (c spanContext) Value(key any) any {
	if key == (contextKey{}) {
		return c.span
	}
	return c.Context.Value(key)
}

// FromContext returns the span of the request that ctx belongs to, nil when there is none.
func FromContext(ctx context.Context) *Span {
	span, _ := ctx.Value(contextKey{}).(*Span)
	return span
}

// Serve begins the span of a request that arrived on subject with header, as a part of the trace that header names. The
// context returned is ctx with the span. It returns ctx itself and nil on nil.
func (t *Tracer) Serve(ctx context.Context, name, subject string, header map[string][]string) (context.Context, *Span) {
	if t == nil {
		return ctx, nil
	}
	parent := propagator.Extract(context.Background(), carrier(header))
	s := t.start(parent, name, api.SpanKindServer, attributeSystem.String(systemNATS), attributeSubject.String(subject))
	return spanContext{ctx, s}, s
}

// Call begins the span of a request to subject, inside s. It returns nil on nil.
func (s *Span) Call(name, subject string) *Span {
	if s == nil {
		return nil
	}
	return s.tracer.start(s.ctx, name, api.SpanKindClient, attributeSystem.String(systemNATS), attributeSubject.String(subject))
}

func (t *Tracer) start(ctx context.Context, name string, kind api.SpanKind, attributes ...attribute.KeyValue) *Span {
	ctx, span := t.tracer.Start(ctx, name, api.WithSpanKind(kind), api.WithAttributes(attributes...))
	return &Span{tracer: t, span: span, ctx: ctx}
}

// Step adds a finished step inside s, of which only the times are known.
func (s *Span) Step(name string, from, to time.Time) {
	if s == nil {
		return
	}
	_, step := s.tracer.tracer.Start(s.ctx, name, api.WithTimestamp(from))
	step.End(api.WithTimestamp(to))
}

// Set adds an attribute, below Prefix. An empty value adds none.
func (s *Span) Set(name, value string) {
	if s != nil && value != "" {
		s.span.SetAttributes(attribute.String(Prefix+name, value))
	}
}

// Count adds an attribute that is a number, below Prefix.
func (s *Span) Count(name string, n int) {
	if s != nil {
		s.span.SetAttributes(attribute.Int(Prefix+name, n))
	}
}

// Fail says that the work failed, and the machine-readable reason.
func (s *Span) Fail(reason string) {
	if s != nil {
		s.span.SetStatus(codes.Error, reason)
	}
}

// End ends the span. What is done to it later has no effect.
func (s *Span) End() {
	if s != nil {
		s.span.End()
	}
}

// Inject adds to header what names s to whoever is called.
func (s *Span) Inject(header map[string][]string) {
	if s != nil {
		propagator.Inject(s.ctx, carrier(header))
	}
}

var propagator = propagation.TraceContext{}

// carrier is a header of NATS, whose names are case-sensitive.
type carrier map[string][]string

var _ propagation.TextMapCarrier = carrier(nil)

// Get implements propagation.TextMapCarrier.
func (c carrier) Get(name string) string {
	if values := c[name]; len(values) > 0 {
		return values[0]
	}
	return ""
}

// Set implements propagation.TextMapCarrier.
func (c carrier) Set(name, value string) { c[name] = []string{value} }

// Keys implements propagation.TextMapCarrier.
func (c carrier) Keys() []string {
	names := make([]string, 0, len(c))
	for name := range c {
		names = append(names, name)
	}
	return names
}
