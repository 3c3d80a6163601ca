// Package monitor shows a process to those who watch it: /metrics for Prometheus, /healthz and /readyz for whoever starts
// and stops processes, all on one address of their own, and the same readiness over NATS. It refuses to know what is
// measured: the services bring their metrics and their checks. It also asks: a process on this host, or the replicas of another
// service, how they are.
package monitor
