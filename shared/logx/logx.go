// Package logx sets up zap the same way in every process and holds the names of all log fields. It refuses to know
// tokens: no helper here takes one.
package logx

import (
	"fmt"
	"io"
	"os"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// Config is the logging part of a service's configuration.
type Config struct {
	// Level is debug, info, warn or error; less important entries are not written. Default info.
	Level string `yaml:"level"`
	// Format is json, console or auto: console when standard error is a terminal, else json. Default auto.
	Format string `yaml:"format"`
}

// Report takes what is wrong with a configuration; *config.Report is one.
type Report interface {
	Errorf(key, format string, args ...any)
}

// Check reports what is wrong, below key.
func (c Config) Check(key string, r Report) {
	if _, err := c.level(); err != nil {
		r.Errorf(key+".level", "%v", err)
	}
	switch c.Format {
	case "", "auto", "json", "console":
	default:
		r.Errorf(key+".format", "%q: must be json, console or auto", c.Format)
	}
}

func (c Config) level() (zapcore.Level, error) {
	switch c.Level {
	case "":
		return zapcore.InfoLevel, nil
	case "debug", "info", "warn", "error":
		return zapcore.ParseLevel(c.Level)
	}
	return 0, fmt.Errorf("%q: must be debug, info, warn or error", c.Level)
}

// New returns a logger that writes to standard error and carries the service's name and version in every entry.
func New(cfg Config, service, version string) (*zap.Logger, error) {
	console := cfg.Format == "console" || (cfg.Format != "json" && terminal(os.Stderr))
	return build(cfg, console, zapcore.Lock(os.Stderr), service, version)
}

// NewTo is New with a writer in place of standard error; it is safe for concurrent use whatever w is.
func NewTo(w io.Writer, cfg Config, service, version string) (*zap.Logger, error) {
	return build(cfg, cfg.Format == "console", zapcore.Lock(zapcore.AddSync(w)), service, version)
}

func build(cfg Config, console bool, out zapcore.WriteSyncer, service, version string) (*zap.Logger, error) {
	level, err := cfg.level()
	if err != nil {
		return nil, err
	}
	encoding := zap.NewProductionEncoderConfig()
	encoding.TimeKey = Time
	encoding.EncodeTime = zapcore.RFC3339NanoTimeEncoder
	encoding.EncodeDuration = zapcore.StringDurationEncoder
	encoder := zapcore.NewJSONEncoder(encoding)
	if console {
		encoding.EncodeLevel = zapcore.CapitalLevelEncoder
		encoding.EncodeTime = zapcore.TimeEncoderOfLayout("15:04:05.000")
		encoder = zapcore.NewConsoleEncoder(encoding)
	}
	// No sampling: a decision record that is left out is one that somebody looks for.
	log := zap.New(zapcore.NewCore(encoder, out, level), zap.ErrorOutput(out))
	return log.With(zap.String(Service, service), zap.String(Version, version)), nil
}

// terminal reports whether a person is likely to read f as it is written.
func terminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && os.Getenv("TERM") != "dumb" && os.Getenv("TERM") != ""
}
