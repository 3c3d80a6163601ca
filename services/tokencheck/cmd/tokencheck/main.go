// Command tokencheck validates the access tokens of OpenID Connect issuers.
package main

import (
	_ "golang.org/x/crypto/x509roots/fallback" // public roots where the system has none, as in an image from scratch

	"harmony.internal/authcallout/services/tokencheck"
	"harmony.internal/authcallout/shared/run"
)

func main() { run.Main(tokencheck.Program()) }
