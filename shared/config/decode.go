package config

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// decode reads data into v and reports every problem. The library parses and converts scalars; the walk over the keys
// is ours, because the library's strict mode stops at the first problem.
func decode(data []byte, v reflect.Value, r *Report) {
	file, err := parser.ParseBytes(data, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		r.syntax(err)
		return
	}
	var body ast.Node
	for _, doc := range file.Docs {
		if doc.Body == nil || doc.Body.Type() == ast.CommentType {
			continue
		}
		if body != nil {
			r.at("", doc.Body, "a second document; one file holds one document")
			return
		}
		body = doc.Body
	}
	if body != nil {
		r.value(body, v, "")
	}
}

// syntax reports what the parser could not read, without the excerpt that the library prints: it may hold anything.
func (r *Report) syntax(err error) {
	p := Problem{File: r.file, Message: "not YAML"}
	var e yaml.Error
	if errors.As(err, &e) {
		p.Message += ": " + e.GetMessage()
		if t := e.GetToken(); t != nil && t.Position != nil {
			p.Line, p.Column = t.Position.Line, t.Position.Column
		}
	}
	r.problems = append(r.problems, p)
}

// at reports a problem of key at node.
func (r *Report) at(key string, node ast.Node, format string, args ...any) {
	pos := position(node)
	r.problems = append(r.problems, Problem{
		File: r.file, Line: pos.line, Column: pos.column, Key: key, Message: fmt.Sprintf(format, args...),
	})
}

func position(node ast.Node) place {
	if m, ok := node.(*ast.MappingNode); ok && len(m.Values) > 0 {
		node = m.Values[0].Key
	}
	if t := node.GetToken(); t != nil && t.Position != nil {
		return place{t.Position.Line, t.Position.Column}
	}
	return place{}
}

// value reads node into v, the value of key.
func (r *Report) value(node ast.Node, v reflect.Value, key string) {
	switch node.Type() {
	case ast.NullType:
		return
	case ast.AnchorType, ast.AliasType, ast.TagType, ast.MergeKeyType:
		r.at(key, node, "anchors, aliases and tags are not read here; write the value")
		return
	}
	if v.Kind() == reflect.Pointer {
		v.Set(reflect.New(v.Type().Elem()))
		v = v.Elem()
	}
	switch {
	case isScalar(v.Type()):
		r.scalar(node, v, key)
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

// isScalar reports whether the library reads a value of this type as a whole.
func isScalar(t reflect.Type) bool {
	_, custom := reflect.New(t).Interface().(yaml.InterfaceUnmarshaler)
	return custom || t == reflect.TypeFor[time.Duration]()
}

func (r *Report) scalar(node ast.Node, v reflect.Value, key string) {
	target := reflect.New(v.Type())
	if err := yaml.NodeToValue(node, target.Interface()); err != nil {
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

// pairs returns the members of a mapping.
func pairs(node ast.Node) ([]*ast.MappingValueNode, bool) {
	switch n := node.(type) {
	case *ast.MappingNode:
		return n.Values, true
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{n}, true
	}
	return nil, false
}

// members calls each for every member of a mapping once and reports those that stand twice.
func (r *Report) members(node ast.Node, key string, each func(name, key string, pair *ast.MappingValueNode)) {
	values, ok := pairs(node)
	if !ok {
		r.at(key, node, "must be a section of keys and values")
		return
	}
	seen := map[string]bool{}
	for _, pair := range values {
		name := pair.Key.GetToken().Value
		path := name
		if key != "" {
			path = key + "." + name
		}
		if seen[name] {
			r.at(path, pair.Key, "appears twice; keep one")
			continue
		}
		seen[name] = true
		r.places[path] = position(pair.Key)
		each(name, path, pair)
	}
}

func (r *Report) structure(node ast.Node, v reflect.Value, key string) {
	fields := fieldsOf(v)
	r.members(node, key, func(name, path string, pair *ast.MappingValueNode) {
		field, ok := fields[name]
		if !ok {
			r.at(path, pair.Key, "unknown key%s", didYouMean(name, fields))
			return
		}
		r.value(pair.Value, field, path)
	})
}

func (r *Report) slice(node ast.Node, v reflect.Value, key string) {
	list, ok := node.(*ast.SequenceNode)
	if !ok {
		r.at(key, node, "must be a list: [a, b]")
		return
	}
	out := reflect.MakeSlice(v.Type(), len(list.Values), len(list.Values))
	for i, item := range list.Values {
		path := fmt.Sprintf("%s[%d]", key, i)
		r.places[path] = position(item)
		r.value(item, out.Index(i), path)
	}
	v.Set(out)
}

func (r *Report) mapping(node ast.Node, v reflect.Value, key string) {
	out := reflect.MakeMap(v.Type())
	r.members(node, key, func(name, path string, pair *ast.MappingValueNode) {
		item := reflect.New(v.Type().Elem()).Elem()
		r.value(pair.Value, item, path)
		out.SetMapIndex(reflect.ValueOf(name).Convert(v.Type().Key()), item)
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
