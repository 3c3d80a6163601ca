// Package config reads one YAML file strictly into a struct and reports everything that is wrong with it in one run,
// each problem with file, line, column and the key's own name. It refuses unknown keys, duplicate keys, anchors and
// several documents. It knows no service's keys.
package config

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
)

// MaxFileBytes bounds a configuration file.
const MaxFileBytes = 1 << 20

// Path is a file named in a configuration. A relative one is resolved against the directory of the configuration file
// before Check is called.
type Path string

// Checker is a configuration that can judge its own values. Check is called after defaults were set and must report all
// that is wrong. It may read files that the configuration names; it must not use the network.
type Checker interface {
	SetDefaults()
	Check(r *Report)
}

// Load reads file into cfg, a pointer to a struct with yaml tags, sets defaults, checks, and returns the warnings. The
// error is Problems unless the file cannot be read at all. Durations are written as in Go ("2s", "1h30m").
func Load(file string, cfg Checker) (warnings Problems, err error) {
	data, err := readBounded(file, MaxFileBytes)
	if err != nil {
		return nil, err
	}
	return Parse(file, data, cfg)
}

// Parse is Load for a text that was read already. file is the name that problems carry; a relative Path in the text is
// resolved against its directory. The error is Problems.
func Parse(file string, data []byte, cfg Checker) (warnings Problems, err error) {
	return ParseUpTo(file, data, MaxFileBytes, cfg)
}

// ParseUpTo is Parse with a bound of its own, in bytes, for a file that lists as much as there is.
func ParseUpTo(file string, data []byte, maxBytes int, cfg Checker) (warnings Problems, err error) {
	if len(data) > maxBytes {
		return nil, Problems{{File: file, Message: fmt.Sprintf("larger than %d bytes", maxBytes)}}
	}
	r := read(file, data, cfg)
	check := &Report{file: file, places: r.places, broken: r.keys()}
	cfg.Check(check)
	r.problems = append(r.problems, check.problems...)
	return r.split()
}

// Peek reads file into cfg and sets defaults, without Check: for a look at the file of a process that runs, whose keys
// and rules may have changed since. The error is Problems unless the file cannot be read at all.
func Peek(file string, cfg Checker) error {
	data, err := readBounded(file, MaxFileBytes)
	if err != nil {
		return err
	}
	_, err = read(file, data, cfg).split()
	return err
}

// read decodes and sets defaults.
func read(file string, data []byte, cfg Checker) *Report {
	r := &Report{file: file, places: map[string]place{}}
	decode(data, reflect.ValueOf(cfg).Elem(), r)
	cfg.SetDefaults()
	resolvePaths(reflect.ValueOf(cfg), filepath.Dir(file))
	return r
}

func readBounded(file string, limit int64) ([]byte, error) {
	f, err := os.Open(file) //nolint:gosec // the operator names the file
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // read only: nothing can be lost
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("%s: larger than %d bytes", file, limit)
	}
	return data, nil
}

// resolvePaths makes every Path below v absolute or relative to the working directory.
func resolvePaths(v reflect.Value, dir string) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			resolvePaths(v.Elem(), dir)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				resolvePaths(v.Field(i), dir)
			}
		}
	case reflect.Slice:
		for i := range v.Len() {
			resolvePaths(v.Index(i), dir)
		}
	case reflect.String:
		if v.Type() == reflect.TypeFor[Path]() && v.String() != "" && !filepath.IsAbs(v.String()) {
			v.SetString(filepath.Join(dir, v.String()))
		}
	}
}
