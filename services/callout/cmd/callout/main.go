// Callout answers nats-server's authorization requests. See callout -help.
package main

import (
	"harmony.internal/authcallout/services/callout"
	"harmony.internal/authcallout/shared/run"
)

func main() {
	run.Main(callout.Program())
}
