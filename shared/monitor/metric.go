package monitor

import (
	"runtime/debug"

	"github.com/prometheus/client_golang/prometheus"
)

// Kind is what a metric's values do.
type Kind string

// Kinds of metrics. A name ends in _total exactly when it is a Counter.
const (
	Counter   Kind = "counter"   // only grows, from the start of the process
	Gauge     Kind = "gauge"     // goes both ways
	Histogram Kind = "histogram" // counts values by size
)

// LabelService is on every metric of this project: which of the services exports it.
const LabelService = "service"

// Metric is one family: a row of the documented table, and how its values are made. All families of this project are
// variables of this type, so that the table cannot miss one.
type Metric struct {
	Name   string
	Help   string
	Kind   Kind
	Labels []Label
	desc   *prometheus.Desc
}

// Label is one label of a metric besides LabelService.
type Label struct {
	Name string
	// Values says for people which values there can be, and so what bounds their number.
	Values string
}

// NewMetric returns a family. help is a full sentence with the unit.
func NewMetric(kind Kind, name, help string, labels ...Label) *Metric {
	return &Metric{
		Name: name, Help: help, Kind: kind, Labels: labels,
		desc: prometheus.NewDesc(name, help, labelNames(labels), nil),
	}
}

func labelNames(labels []Label) []string {
	names := make([]string, len(labels))
	for i, l := range labels {
		names[i] = l.Name
	}
	return names
}

// Desc is the family's descriptor, for a Collector's Describe.
func (m *Metric) Desc() *prometheus.Desc { return m.desc }

// Value is one sample of a Counter or a Gauge, for a Collector's Collect. A scrape fails when values do not fit the labels.
func (m *Metric) Value(v float64, values ...string) prometheus.Metric {
	kind := prometheus.GaugeValue
	if m.Kind == Counter {
		kind = prometheus.CounterValue
	}
	sample, err := prometheus.NewConstMetric(m.desc, kind, v, values...)
	if err != nil {
		return prometheus.NewInvalidMetric(m.desc, err)
	}
	return sample
}

// NewHistogram returns the collector of a Histogram, with buckets in the unit of its values.
func (m *Metric) NewHistogram(buckets []float64) *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: m.Name, Help: m.Help, Buckets: buckets}, labelNames(m.Labels))
}

// Families is a Collector's Describe and its values.
type Families struct {
	Metrics []*Metric
	// Values sends the samples of one scrape. It is called concurrently.
	Values func(chan<- prometheus.Metric)
}

// Describe implements prometheus.Collector.
func (f Families) Describe(out chan<- *prometheus.Desc) {
	for _, m := range f.Metrics {
		out <- m.desc
	}
}

// Collect implements prometheus.Collector.
func (f Families) Collect(out chan<- prometheus.Metric) { f.Values(out) }

// Flag is 1 for true and 0 for false.
func Flag(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

var (
	metricBuild = NewMetric(Gauge, "authcallout_build_info", "Always 1; its labels name the build.",
		Label{"version", "the build's version"}, Label{"go", "the version of Go"})
	metricConfig = NewMetric(Gauge, "authcallout_config_info", "Always 1; its label names the configuration. Replicas that differ in it were configured differently.",
		Label{"hash", "the configuration's hash, the one in micro's metadata"})
	metricReady = NewMetric(Gauge, "authcallout_ready", "1 when the process could do its work at the time of the scrape, else 0.")
	metricCheck = NewMetric(Gauge, "authcallout_ready_check", "1 when this part of being ready held at the time of the scrape, else 0.",
		Label{"check", "the names in the answer of /readyz"})
)

// Metrics are the families that every process exports.
func Metrics() []*Metric { return []*Metric{metricBuild, metricConfig, metricReady, metricCheck} }

func goVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		return info.GoVersion
	}
	return "unknown"
}
