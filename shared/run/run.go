// Package run is the life of a process: flags, configuration, signals, exit codes. A main of this project is two
// statements around it. It refuses to know what the process does.
package run

import (
	"context"

	"go.uber.org/zap"

	"harmony.internal/authcallout/shared/config"
	"harmony.internal/authcallout/shared/logx"
)

// Version is stamped by the build: -ldflags "-X harmony.internal/authcallout/shared/run.Version=1.2.3". It is a bare
// semantic version, because micro accepts nothing else.
var Version = "0.0.0-dev"

// Exit codes of every process.
const (
	ExitOK      = 0 // asked to stop, drained
	ExitFailure = 1 // can no longer do its work: restart it
	ExitUsage   = 2 // flags or configuration are wrong: restarting does not help
)

// Program is one process. C is its configuration.
type Program[C config.Checker] struct {
	Name        string // callout
	Description string // one line for -help
	NewConfig   func() C
	// Log returns the logging part of the configuration.
	Log func(C) logx.Config
	// Probe looks at the world that the configuration names, for -check-config and at start, and reports what would not
	// work; nothing that it finds is fatal at start. Optional.
	Probe func(ctx context.Context, cfg C) error
	// Serve does the work until ctx ends, then drains and returns nil; an error means that it can no longer serve.
	Serve func(ctx context.Context, cfg C, log *zap.Logger) error
}

// Main runs p with the arguments of the process and returns only to os.Exit. SIGTERM and SIGINT end the context given
// to Serve; a second one ends the process at once.
func Main[C config.Checker](p Program[C]) {}
