package trace

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/codes"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

// Two processes, one trace: the span that serves is a child of the span that calls.
func TestSpansAreJoined(t *testing.T) {
	exporter := tracetest.NewInMemoryExporter()
	caller, err := New(About{Service: "callout", Version: "1.0.0"}, sdk.NewSimpleSpanProcessor(exporter))
	if err != nil {
		t.Fatal(err)
	}
	callee, err := New(About{Service: "policy", Version: "1.0.0"}, sdk.NewSimpleSpanProcessor(exporter))
	if err != nil {
		t.Fatal(err)
	}
	type key struct{}
	base, cancel := context.WithCancel(context.WithValue(t.Context(), key{}, "own"))
	ctx, login := caller.Serve(base, "callout auth", "in", nil)
	if ctx.Value(key{}) != "own" || FromContext(ctx) != login {
		t.Error("the context lost a value, or the span")
	}
	cancel()
	if ctx.Err() == nil {
		t.Error("the context does not end with its parent")
	}
	call := FromContext(ctx).Call("call policy", "auth.v1.policy.decide")
	header := map[string][]string{}
	call.Inject(header)
	if len(header["traceparent"]) != 1 || !strings.HasPrefix(header["traceparent"][0], "00-") {
		t.Errorf("header %v", header)
	}
	_, decide := callee.Serve(t.Context(), "policy decide", "auth.v1.policy.decide", header)
	decide.Set("rule", "device")
	decide.Set("empty", "")
	decide.Fail("no_matching_rule")
	decide.End()
	call.Count("attempts", 2)
	call.End()
	start := time.Now().Add(-time.Second)
	login.Step("open", start, start.Add(time.Millisecond))
	login.End()

	spans := map[string]tracetest.SpanStub{}
	for _, s := range exporter.GetSpans() {
		spans[s.Name] = s
	}
	for name, parent := range map[string]string{"policy decide": "call policy", "call policy": "callout auth", "open": "callout auth"} {
		if spans[name].Parent.SpanID() != spans[parent].SpanContext.SpanID() || spans[name].SpanContext.TraceID() != spans["callout auth"].SpanContext.TraceID() {
			t.Errorf("%s is no child of %s", name, parent)
		}
	}
	if s := spans["policy decide"]; s.Status.Code != codes.Error || s.Status.Description != "no_matching_rule" || len(s.Attributes) != 3 {
		t.Errorf("%+v", s)
	}
	if s := spans["open"]; s.EndTime.Sub(s.StartTime) != time.Millisecond {
		t.Errorf("a step of %v", s.EndTime.Sub(s.StartTime))
	}
	if name, _ := spans["policy decide"].Resource.Set().Value("service.name"); name.AsString() != "authcallout-policy" {
		t.Errorf("service.name %q", name.AsString())
	}
}

// A header that names no trace begins one.
func TestBadHeader(t *testing.T) {
	exporter := tracetest.NewInMemoryExporter()
	tracer, err := New(About{Service: "policy"}, sdk.NewSimpleSpanProcessor(exporter))
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"", "x", "00-00000000000000000000000000000000-0000000000000000-01", strings.Repeat("0", 4096)} {
		_, s := tracer.Serve(t.Context(), "n", "s", map[string][]string{"traceparent": {bad}})
		s.End()
	}
	for _, s := range exporter.GetSpans() {
		if s.Parent.IsValid() || !s.SpanContext.IsValid() {
			t.Errorf("%+v", s.SpanContext)
		}
	}
}

// off runs everything that a login does, with tracing off.
func off(ctx context.Context, header map[string][]string) {
	var t *Tracer
	ctx, s := t.Serve(ctx, "n", "s", header)
	call := FromContext(ctx).Call("n", "s")
	call.Inject(header)
	call.Count("attempts", 1)
	call.End()
	s.Step("open", time.Time{}, time.Time{})
	s.Set("rule", "device")
	s.Fail("reason")
	s.End()
}

func TestOffCostsNothing(t *testing.T) {
	header := map[string][]string{}
	ctx := t.Context()
	if n := testing.AllocsPerRun(100, func() { off(ctx, header) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if len(header) != 0 {
		t.Errorf("header %v", header)
	}
	(*Tracer)(nil).Stop()
}

func BenchmarkOff(b *testing.B) {
	b.ReportAllocs()
	ctx, header := b.Context(), map[string][]string{}
	for b.Loop() {
		off(ctx, header)
	}
}

func BenchmarkOn(b *testing.B) {
	b.ReportAllocs()
	tracer, err := New(About{Service: "callout"}, sdk.NewBatchSpanProcessor(tracetest.NewNoopExporter()))
	if err != nil {
		b.Fatal(err)
	}
	defer tracer.Stop()
	for b.Loop() {
		header := map[string][]string{}
		ctx, s := tracer.Serve(b.Context(), "n", "s", header)
		call := FromContext(ctx).Call("n", "s")
		call.Inject(header)
		call.End()
		s.End()
	}
}

func TestWanted(t *testing.T) {
	const endpoint = "OTEL_EXPORTER_OTLP_ENDPOINT"
	for name, c := range map[string]struct {
		variables map[string]string
		on        bool
		refused   string
	}{
		"nothing":              {},
		"an endpoint":          {map[string]string{endpoint: "http://127.0.0.1:4318"}, true, ""},
		"one for traces":       {map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:4318/v1/traces"}, true, ""},
		"the default endpoint": {map[string]string{"OTEL_TRACES_EXPORTER": "otlp"}, true, ""},
		"disabled":             {map[string]string{endpoint: "http://x", "OTEL_SDK_DISABLED": "true"}, false, ""},
		"none":                 {map[string]string{endpoint: "http://x", "OTEL_TRACES_EXPORTER": "none"}, false, ""},
		"another exporter":     {map[string]string{"OTEL_TRACES_EXPORTER": "zipkin"}, false, "zipkin"},
		"grpc":                 {map[string]string{endpoint: "http://x", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, false, "4318"},
		"http for traces":      {map[string]string{endpoint: "http://x", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf"}, true, ""},
		"grpc and off":         {map[string]string{"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			on, err := wanted(func(name string) string { return c.variables[name] })
			if on != c.on || (err != nil) != (c.refused != "") || (err != nil && !strings.Contains(err.Error(), c.refused)) {
				t.Errorf("%v %v", on, err)
			}
		})
	}
}

// A collector gets the spans by the environment alone.
func TestFromEnvironment(t *testing.T) {
	if tracer, err := FromEnvironment(t.Context(), About{Service: "callout"}); tracer != nil || err != nil {
		t.Fatalf("without variables: %v %v", tracer, err)
	}
	paths := make(chan string, 16)
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { paths <- r.URL.Path + " " + r.Header.Get("X-Key") }))
	defer collector.Close()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.URL)
	t.Setenv("OTEL_EXPORTER_OTLP_HEADERS", "X-Key=1")
	t.Setenv("OTEL_SERVICE_NAME", "mine")
	tracer, err := FromEnvironment(t.Context(), About{Service: "callout"})
	if err != nil || tracer == nil {
		t.Fatal(tracer, err)
	}
	_, s := tracer.Serve(t.Context(), "n", "s", nil)
	s.End()
	tracer.Stop()
	select {
	case got := <-paths:
		if got != "/v1/traces 1" {
			t.Error(got)
		}
	default:
		t.Error("nothing was sent")
	}
}
