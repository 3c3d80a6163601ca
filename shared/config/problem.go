package config

import (
	"fmt"
	"slices"
	"strings"
)

// Problem is one thing wrong in a configuration file.
type Problem struct {
	File         string
	Line, Column int    // 1-based; 0 when the problem has no place, for example a missing key
	Key          string // dotted path with indexes, issuers[0].audiences; empty for the file as a whole
	Message      string // what is wrong and what to do
	Warning      bool   // a warning does not refuse the file
}

// String is FILE:LINE:COL: KEY: MESSAGE, without the parts that are not there.
func (p Problem) String() string {
	var b strings.Builder
	b.WriteString(p.File)
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", p.Line, p.Column)
	}
	if b.Len() > 0 {
		b.WriteString(": ")
	}
	if p.Warning {
		b.WriteString("warning: ")
	}
	if p.Key != "" {
		b.WriteString(p.Key + ": ")
	}
	b.WriteString(p.Message)
	return b.String()
}

// Problems is every problem of one file, in the file's order. It is an error.
type Problems []Problem

// Error lists all problems, a line each.
func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i, x := range p {
		lines[i] = x.String()
	}
	return strings.Join(lines, "\n")
}

type place struct{ line, column int }

// Report collects problems. A key is the dotted path as in Problem; its place in the file is found from it. The zero
// value is ready to use, without places.
type Report struct {
	file     string
	places   map[string]place
	broken   []string // keys whose value could not be read: judging what stands in their place would only confuse
	problems Problems
}

// Errorf adds an error at key.
func (r *Report) Errorf(key, format string, args ...any) {
	r.add(key, fmt.Sprintf(format, args...), false)
}

// Warnf adds a warning at key.
func (r *Report) Warnf(key, format string, args ...any) {
	r.add(key, fmt.Sprintf(format, args...), true)
}

// Problems returns what was reported so far.
func (r *Report) Problems() Problems { return slices.Clone(r.problems) }

func (r *Report) add(key, message string, warning bool) {
	for _, b := range r.broken {
		if key == b || strings.HasPrefix(key, b+".") || strings.HasPrefix(key, b+"[") {
			return
		}
	}
	at := r.place(key)
	r.problems = append(r.problems, Problem{
		File: r.file, Line: at.line, Column: at.column, Key: key, Message: message, Warning: warning,
	})
}

// place is where key stands, or the nearest key around it.
func (r *Report) place(key string) place {
	for key != "" {
		if at, ok := r.places[key]; ok {
			return at
		}
		key = key[:max(0, strings.LastIndexAny(key, ".["))]
	}
	return place{}
}

func (r *Report) keys() []string {
	keys := make([]string, 0, len(r.problems))
	for _, p := range r.problems {
		if p.Key != "" {
			keys = append(keys, p.Key)
		}
	}
	return keys
}

// split orders the problems as they stand in the file and parts warnings from errors.
func (r *Report) split() (warnings Problems, err error) {
	slices.SortStableFunc(r.problems, func(a, b Problem) int {
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		return a.Column - b.Column
	})
	var errs Problems
	for _, p := range r.problems {
		if p.Warning {
			warnings = append(warnings, p)
		} else {
			errs = append(errs, p)
		}
	}
	if len(errs) > 0 {
		return warnings, errs
	}
	return warnings, nil
}
