// Package capacity says how many replicas and servers a fleet needs that comes back within a chosen time. It shows its
// arithmetic.
package capacity
