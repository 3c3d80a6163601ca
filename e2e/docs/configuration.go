package docs

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
)

const module = "harmony.internal/authcallout/"

// files are the configuration files and the struct that each is read into, by directory.
var files = []struct{ name, dir, typ string }{
	{"deployment.yaml (make up)", "deploy/podman/deployment", "Config"},
	{"callout.yaml", "services/callout", "Config"},
	{"tokencheck.yaml", "services/tokencheck", "Config"},
	{"policy.yaml", "services/policy", "Config"},
	{"rules.yaml", "services/policy/rules", "Text"},
	{"rules_test.yaml", "services/policy/ruletest", "File"},
	{"devices.yaml (the device registry)", "services/policy/registry", "File"},
}

// Configuration renders the reference of every key. Every field that has a key must have a comment.
func Configuration(root string) (string, error) {
	var b strings.Builder
	b.WriteString("# Configuration\n\n" + generated + `
One YAML file for each process, named by ` + "`-config FILE`" + `. ` + "`-check-config`" + ` prints everything that is wrong, each problem with
file, line, column and key, and exits with 2; with 0 when the file is good, and with 1 when what it names is not, as an issuer that cannot be reached. Unknown and duplicate keys are refused. Secrets are paths to files; a relative path is
looked for beside the configuration file. Durations are written ` + "`500ms`, `2s`, `1h30m`" + `.
`)
	src := sources{root: root, packages: map[string]*goPackage{}}
	for _, f := range files {
		pkg, err := src.load(f.dir)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&b, "\n## %s\n\n| key | type | |\n|---|---|---|\n", f.name)
		if err := src.rows(&b, pkg, f.typ, ""); err != nil {
			return "", fmt.Errorf("%s: %w", f.name, err)
		}
	}
	return b.String(), nil
}

// sources caches parsed packages by directory.
type sources struct {
	root     string
	packages map[string]*goPackage
}

// goPackage is the struct types of one directory and, for each, the imports of the file that it stands in.
type goPackage struct {
	dir     string
	types   map[string]ast.Expr
	imports map[string]map[string]string // type name -> package name -> directory
}

func (s *sources) load(dir string) (*goPackage, error) {
	if p, ok := s.packages[dir]; ok {
		return p, nil
	}
	matches, err := filepath.Glob(filepath.Join(s.root, dir, "*.go"))
	if err != nil {
		return nil, err
	}
	p := &goPackage{dir: dir, types: map[string]ast.Expr{}, imports: map[string]map[string]string{}}
	fset := token.NewFileSet()
	for _, name := range matches {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(fset, name, nil, parser.ParseComments)
		if err != nil {
			return nil, err
		}
		p.add(f)
	}
	s.packages[dir] = p
	return p, nil
}

func (p *goPackage) add(f *ast.File) {
	imports := map[string]string{}
	for _, i := range f.Imports {
		path, err := strconv.Unquote(i.Path.Value)
		if err != nil || !strings.HasPrefix(path, module) {
			continue
		}
		dir := strings.TrimPrefix(path, module)
		imports[filepath.Base(dir)] = dir
	}
	for _, d := range f.Decls {
		g, ok := d.(*ast.GenDecl)
		if !ok || g.Tok != token.TYPE {
			continue
		}
		for _, spec := range g.Specs {
			t, ok := spec.(*ast.TypeSpec)
			if !ok {
				continue
			}
			p.types[t.Name.Name] = t.Type
			p.imports[t.Name.Name] = imports
		}
	}
}

// rows writes a row for each key of the struct typ, nested ones after their own row.
func (s *sources) rows(b *strings.Builder, p *goPackage, typ, prefix string) error {
	st, ok := p.types[typ].(*ast.StructType)
	if !ok {
		return fmt.Errorf("%s.%s is not a struct", p.dir, typ)
	}
	for _, field := range st.Fields.List {
		key, inline := yamlKey(field)
		if key == "" && !inline {
			continue
		}
		nested, nestedPkg, name, err := s.resolve(p, typ, field.Type)
		if err != nil {
			return err
		}
		path := prefix
		if !inline {
			path = prefix + key
			doc := comment(field, key)
			if doc == "" {
				return fmt.Errorf("%s.%s: key %s has no comment", p.dir, typ, path)
			}
			fmt.Fprintf(b, "| `%s` | %s | %s |\n", path, name, doc)
			switch {
			case strings.HasPrefix(name, "list"):
				path += "[]."
			case strings.HasPrefix(name, "map"):
				path += ".*."
			default:
				path += "."
			}
		}
		if nested != "" {
			if err := s.rows(b, nestedPkg, nested, path); err != nil {
				return err
			}
		}
	}
	return nil
}

// resolve names a field's type for a person and, where it is a struct of this project, says which.
func (s *sources) resolve(p *goPackage, owner string, e ast.Expr) (nested string, in *goPackage, name string, err error) {
	switch t := e.(type) {
	case *ast.StarExpr:
		return s.resolve(p, owner, t.X)
	case *ast.ArrayType:
		nested, in, name, err = s.resolve(p, owner, t.Elt)
		return nested, in, "list of " + name, err
	case *ast.MapType:
		nested, in, name, err = s.resolve(p, owner, t.Value)
		return nested, in, "map to " + name, err
	case *ast.InterfaceType:
		return "", nil, "any", nil
	case *ast.Ident:
		switch def := p.types[t.Name].(type) {
		case *ast.StructType:
			return t.Name, p, "section", nil
		case *ast.Ident:
			return "", nil, def.Name, nil
		}
		return "", nil, t.Name, nil
	case *ast.SelectorExpr:
		return s.resolveSelector(p, owner, t)
	}
	return "", nil, "", fmt.Errorf("%s.%s: a key of type %T cannot be documented", p.dir, owner, e)
}

func (s *sources) resolveSelector(p *goPackage, owner string, t *ast.SelectorExpr) (string, *goPackage, string, error) {
	pkg := t.X.(*ast.Ident).Name
	switch full := pkg + "." + t.Sel.Name; full {
	case "time.Duration":
		return "", nil, "duration", nil
	case "config.Path":
		return "", nil, "file", nil
	}
	dir, ok := p.imports[owner][pkg]
	if !ok {
		return "", nil, t.Sel.Name, nil
	}
	other, err := s.load(dir)
	if err != nil {
		return "", nil, "", err
	}
	return s.resolve(other, t.Sel.Name, t.Sel)
}

func yamlKey(f *ast.Field) (key string, inline bool) {
	if f.Tag == nil {
		return "", false
	}
	tag, err := strconv.Unquote(f.Tag.Value)
	if err != nil {
		return "", false
	}
	parts := strings.Split(reflect.StructTag(tag).Get("yaml"), ",")
	if parts[0] == "-" {
		return "", false
	}
	for _, p := range parts[1:] {
		inline = inline || p == "inline"
	}
	return parts[0], inline
}

// comment is the field's comment as one line that a Markdown table takes, with the key in place of the field's name.
func comment(f *ast.Field, key string) string {
	text := f.Doc.Text()
	if len(f.Names) == 1 {
		if rest, ok := strings.CutPrefix(text, f.Names[0].Name+" "); ok {
			text = "`" + key + "` " + rest
		}
	}
	return oneLine(text)
}

func oneLine(text string) string {
	return strings.ReplaceAll(strings.Join(strings.Fields(text), " "), "|", "\\|")
}
