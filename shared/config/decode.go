package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// decode reads data into v and reports every problem. The library parses and converts scalars; the walk over the keys
// is ours, because the library's strict mode matches loosely and its errors have no column.
func decode(data []byte, v reflect.Value, r *Report) {
	documents := yaml.NewDecoder(bytes.NewReader(data))
	var first, second yaml.Node
	if err := documents.Decode(&first); err != nil {
		if !errors.Is(err, io.EOF) {
			r.syntax(err)
		}
		return
	}
	if len(first.Content) > 0 {
		r.value(first.Content[0], v, "")
	}
	switch err := documents.Decode(&second); {
	case err == nil:
		r.at("", &second, "a second document; one file holds one document")
	case !errors.Is(err, io.EOF):
		r.syntax(err)
	}
}

var lineOf = regexp.MustCompile(`line (\d+): (.*)`)

// syntax reports what the parser could not read. Its messages hold no text of the file.
func (r *Report) syntax(err error) {
	p := Problem{File: r.file, Message: "not YAML: " + strings.TrimPrefix(err.Error(), "yaml: ")}
	if m := lineOf.FindStringSubmatch(err.Error()); m != nil {
		p.Line, _ = strconv.Atoi(m[1]) // digits
		p.Column, p.Message = 1, "not YAML: "+m[2]
	}
	r.problems = append(r.problems, p)
}

// at reports a problem of key at node.
func (r *Report) at(key string, node *yaml.Node, format string, args ...any) {
	r.problems = append(r.problems, Problem{
		File: r.file, Line: node.Line, Column: node.Column, Key: key, Message: fmt.Sprintf(format, args...),
	})
}

// value reads node into v, the value of key.
func (r *Report) value(node *yaml.Node, v reflect.Value, key string) {
	switch {
	case node.Kind == yaml.AliasNode || node.Anchor != "" || node.Style&yaml.TaggedStyle != 0:
		r.at(key, node, "anchors, aliases and tags are not read here; write the value")
		return
	case node.Tag == "!!null":
		return
	}
	if v.Kind() == reflect.Pointer {
		v.Set(reflect.New(v.Type().Elem()))
		v = v.Elem()
	}
	switch {
	case v.Kind() == reflect.Struct:
		r.structure(node, v, key)
	case v.Kind() == reflect.Slice:
		r.slice(node, v, key)
	case v.Kind() == reflect.Map:
		r.mapping(node, v, key)
	default:
		r.scalar(node, v, key)
	}
}

func (r *Report) scalar(node *yaml.Node, v reflect.Value, key string) {
	target := reflect.New(v.Type())
	if err := node.Decode(target.Interface()); err != nil {
		r.at(key, node, "must be %s", article(v.Type()))
		return
	}
	v.Set(target.Elem())
}

// article names a type as a person writes it.
func article(t reflect.Type) string {
	switch {
	case t == reflect.TypeFor[time.Duration]():
		return "a duration such as 500ms, 2s or 1h30m"
	case t == reflect.TypeFor[Path]():
		return "the name of a file"
	case t.Kind() == reflect.Bool:
		return "true or false"
	case t.Kind() >= reflect.Int && t.Kind() <= reflect.Uint64:
		return "a whole number in range"
	case t.Kind() == reflect.String:
		return "text"
	}
	return "of another kind"
}

// members calls each for every member of a mapping once and reports those that stand twice.
func (r *Report) members(node *yaml.Node, key string, each func(path string, name, value *yaml.Node)) {
	if node.Kind != yaml.MappingNode {
		r.at(key, node, "must be a section of keys and values")
		return
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(node.Content); i += 2 {
		name, value := node.Content[i], node.Content[i+1]
		path := name.Value
		if key != "" {
			path = key + "." + name.Value
		}
		if name.Kind != yaml.ScalarNode {
			r.at(key, name, "a key must be a word")
			continue
		}
		if seen[name.Value] {
			r.at(path, name, "appears twice; keep one")
			continue
		}
		seen[name.Value] = true
		r.places[path] = place{name.Line, name.Column}
		each(path, name, value)
	}
}

func (r *Report) structure(node *yaml.Node, v reflect.Value, key string) {
	fields := fieldsOf(v)
	r.members(node, key, func(path string, name, value *yaml.Node) {
		field, ok := fields[name.Value]
		if !ok {
			r.at(path, name, "unknown key%s", didYouMean(name.Value, fields))
			return
		}
		r.value(value, field, path)
	})
}

func (r *Report) slice(node *yaml.Node, v reflect.Value, key string) {
	if node.Kind != yaml.SequenceNode {
		r.at(key, node, "must be a list: [a, b]")
		return
	}
	out := reflect.MakeSlice(v.Type(), len(node.Content), len(node.Content))
	for i, item := range node.Content {
		path := fmt.Sprintf("%s[%d]", key, i)
		r.places[path] = place{item.Line, item.Column}
		r.value(item, out.Index(i), path)
	}
	v.Set(out)
}

func (r *Report) mapping(node *yaml.Node, v reflect.Value, key string) {
	out := reflect.MakeMap(v.Type())
	r.members(node, key, func(path string, name, value *yaml.Node) {
		item := reflect.New(v.Type().Elem()).Elem()
		r.value(value, item, path)
		out.SetMapIndex(reflect.ValueOf(name.Value).Convert(v.Type().Key()), item)
	})
	v.Set(out)
}

// fieldsOf returns the fields of a struct by their key.
func fieldsOf(v reflect.Value) map[string]reflect.Value {
	fields := map[string]reflect.Value{}
	for i := range v.NumField() {
		tag, option, _ := strings.Cut(v.Type().Field(i).Tag.Get("yaml"), ",")
		switch {
		case option == "inline":
			for name, f := range fieldsOf(v.Field(i)) {
				fields[name] = f
			}
		case tag != "" && tag != "-":
			fields[tag] = v.Field(i)
		}
	}
	return fields
}
