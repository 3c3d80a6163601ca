package docs

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strconv"
	"strings"
)

// Logs renders the table of log fields from the constants that name them.
func Logs(root string) (string, error) {
	f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, "shared", "logx", "fields.go"), nil, parser.ParseComments)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	b.WriteString("# Log fields\n\n" + generated + `
Every process writes to standard error: one JSON object a line, or lines for a person when standard error is a terminal
(` + "`log.format`" + `). No entry holds a token or a part of one. Text that a client chose is shortened, and what cannot be printed in it is replaced.

The decision record is also published on NATS, as a JSON object with ` + "`time`, `service`, `version`" + ` and the same fields, on
` + "`auth.v1.decision.OUTCOME`" + ` in the services' account (` + "`publish_decisions`" + ` in callout.yaml): ` + "`nats sub 'auth.v1.decision.*'`" + ` shows who comes and goes.
Fields may be added; none changes its name or its meaning. One more outcome exists there, ` + "`unanswered`" + `: nats-server gave up a login that no callout
decided, in time or at all; it has the fields of the client and of the server alone.
`)
	for _, d := range f.Decls {
		g, ok := d.(*ast.GenDecl)
		if !ok || g.Tok != token.CONST {
			continue
		}
		fmt.Fprintf(&b, "\n%s\n\n| field | |\n|---|---|\n", oneLine(g.Doc.Text()))
		for _, spec := range g.Specs {
			if err := field(&b, spec.(*ast.ValueSpec)); err != nil {
				return "", err
			}
		}
	}
	return b.String(), nil
}

func field(b *strings.Builder, c *ast.ValueSpec) error {
	name := c.Names[0].Name
	doc, ok := strings.CutPrefix(c.Doc.Text(), name+" ")
	literal, isLiteral := c.Values[0].(*ast.BasicLit)
	if !ok || !isLiteral {
		return fmt.Errorf("log field %s: needs a comment that begins with its name, and a literal", name)
	}
	value, err := strconv.Unquote(literal.Value)
	if err != nil {
		return err
	}
	fmt.Fprintf(b, "| `%s` | %s |\n", value, oneLine(strings.TrimPrefix(doc, "is ")))
	return nil
}
