// Command policy turns verified claims into a grant; its subcommands check, test, explain and compare rules.
package main

import (
	"context"
	"os"

	"harmony.internal/authcallout/services/policy"
	"harmony.internal/authcallout/services/policy/command"
	"harmony.internal/authcallout/shared/run"
)

func main() {
	if len(os.Args) > 1 && command.Is(os.Args[1]) {
		os.Exit(command.Run(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
	}
	run.Main(policy.Program())
}
