// Package topology makes the keys of the hardened topology and renders the nats-server configuration of it, once for
// every deployment: one account for devices and platform, one for the three services, each of which is an nkey user
// with the permissions it needs and no others, the system account with KICK exported to the callout alone. It refuses
// to know how processes are started, and holds no secret in memory longer than it takes to write it.
package topology
