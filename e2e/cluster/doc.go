// Package cluster starts the whole system for a test: nats-server in every topology that is supported, the three services
// in the test's process or as processes of their own built from cmd/, and an issuer. The services read real
// configuration files in both cases. For tests only.
package cluster
