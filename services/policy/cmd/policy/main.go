// Command policy turns verified claims into a grant.
package main

import (
	"harmony.internal/authcallout/services/policy"
	"harmony.internal/authcallout/shared/run"
)

func main() { run.Main(policy.Program()) }
