// Package config reads one YAML file strictly into a struct and reports everything that is wrong with it in one run,
// each problem with file, line, column and the key's own name. It refuses unknown keys, duplicate keys and several
// documents. It knows no service's keys.
package config

import (
	"errors"
	"strings"
)

// Problem is one thing wrong in a configuration file.
type Problem struct {
	File         string
	Line, Column int    // 1-based; 0 when the problem has no place, for example a missing key
	Key          string // dotted path with indexes, issuers[0].audiences
	Message      string // what is wrong and what to do
	Warning      bool   // a warning does not refuse the file
}

// Problems is every problem of one file, in the file's order. It is an error.
type Problems []Problem

// Error lists all problems, a line each: FILE:LINE:COL: KEY: MESSAGE.
func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i, x := range p {
		lines[i] = x.Key + ": " + x.Message
	}
	return strings.Join(lines, "\n")
}

// Report collects problems. Key is the dotted path as in Problem; the place in the file is found from it.
type Report struct{ problems Problems }

// Errorf adds an error at key.
func (r *Report) Errorf(key, format string, args ...any) {}

// Warnf adds a warning at key.
func (r *Report) Warnf(key, format string, args ...any) {}

// Path is a file named in a configuration. A relative one is resolved against the directory of the configuration file
// when Load returns.
type Path string

// Checker is a configuration that can judge its own values; it is called by Load after defaults were set, and must
// report all that is wrong. It may read files that the configuration names; it must not use the network.
type Checker interface {
	SetDefaults()
	Check(r *Report)
}

// Load reads file into cfg, sets defaults, checks, resolves every Path, and returns the warnings. The error is Problems
// unless the file cannot be read at all. Durations are written as in Go ("2s", "1h30m").
func Load(file string, cfg Checker) (warnings Problems, err error) {
	return nil, errors.New("config: not implemented")
}

// ReadSecret returns the content of a secret file, without white space at its ends: at most 64 KiB, not empty. Its
// errors name the file and never hold its content.
func ReadSecret(p Path) ([]byte, error) { return nil, errors.New("config: not implemented") }
