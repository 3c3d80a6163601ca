// Package scenario holds the two scenarios of the reference flow, for whatever runs the system: this module's own
// clusters, or servers in containers. It refuses to know how any of them is started. For tests only.
package scenario
