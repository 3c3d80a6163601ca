// Package standalone is the whole system in one process: a nats-server that is embedded and otherwise an ordinary one,
// with its own configuration file, and the three services on in-process connections to it. The services read the same
// files and run the same code as their processes do; a data directory holds everything. It refuses to configure anything
// behind the files' back: what they say is what runs.
package standalone
