// Command tokencheck validates the access tokens of OpenID Connect issuers.
package main

import (
	"harmony.internal/authcallout/services/tokencheck"
	"harmony.internal/authcallout/shared/run"
)

func main() { run.Main(tokencheck.Program()) }
