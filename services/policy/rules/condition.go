package rules

import (
	"errors"
	"fmt"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/parser"
)

// maxCost bounds the work of one condition, in CEL's own units: about a tenth of a millisecond.
const maxCost = 20_000

// maxConditionBytes bounds the text of a condition.
const maxConditionBytes = 4096

// environment is what conditions may refer to.
type environment struct{ cel *cel.Env }

func newEnvironment() (*environment, error) {
	env, err := cel.NewEnv(
		cel.Variable("claims", cel.MapType(cel.StringType, cel.DynType)),
		cel.Variable("roles", cel.ListType(cel.StringType)),
		cel.Variable("issuer", cel.StringType),
		cel.Variable("subject", cel.StringType),
		cel.Variable("client", cel.MapType(cel.StringType, cel.DynType)),
		cel.Variable("vars", cel.MapType(cel.StringType, cel.DynType)),
		cel.ASTValidators(cel.ValidateRegexLiterals(), cel.ValidateDurationLiterals(), cel.ValidateTimestampLiterals()),
		cel.EnableMacroCallTracking(), // for the text of a condition's parts
		cel.ParserExpressionSizeLimit(maxConditionBytes),
		cel.ParserRecursionLimit(64),
	)
	if err != nil {
		return nil, err
	}
	return &environment{cel: env}, nil
}

// condition is a compiled expression. Safe for concurrent use.
type condition struct {
	program cel.Program
	text    string
	parts   []string // what stands between the outermost &&
	role    string   // a role without which it cannot hold, empty for none known
	always  bool     // it is true
	never   bool     // it is false
	vars    []string // the variables that it asks for
	client  []string // the members of client that it asks for
}

var errNotBool = errors.New("must be true or false")

func (e *environment) compile(text string) (*condition, error) {
	if strings.TrimSpace(text) == "" {
		return nil, errors.New(`is required; write "true" for every verified token`)
	}
	checked, issues := e.cel.Compile(text)
	if err := issues.Err(); err != nil {
		return nil, fmt.Errorf("%s", firstLine(err.Error()))
	}
	if t := checked.OutputType(); !t.IsExactType(cel.BoolType) && !t.IsExactType(cel.DynType) {
		return nil, fmt.Errorf("is of type %s and %w", t, errNotBool)
	}
	program, err := e.cel.Program(checked, cel.CostLimit(maxCost), cel.EvalOptions(cel.OptOptimize))
	if err != nil {
		return nil, err
	}
	c := &condition{program: program, text: text}
	return c, c.look(checked)
}

// firstLine is CEL's message without the excerpt that it draws below.
func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return strings.TrimPrefix(line, "ERROR: <input>:")
}

// look finds out what the linter and the index want to know.
func (c *condition) look(checked *cel.Ast) error {
	tree := checked.NativeRep()
	for _, part := range conjuncts(tree.Expr()) {
		text, err := parser.Unparse(part, tree.SourceInfo())
		if err != nil {
			return err
		}
		c.parts = append(c.parts, text)
		if role, ok := requiredRole(part); ok {
			c.role = role
		}
	}
	c.always, c.never = c.text == "true", strings.TrimSpace(c.text) == "false"
	asked := map[string]*[]string{"vars": &c.vars, "client": &c.client}
	var whole error
	for _, node := range ast.MatchDescendants(ast.NavigateAST(tree), ast.KindMatcher(ast.IdentKind)) {
		into, ok := asked[node.AsIdent()]
		if !ok {
			continue
		}
		parent, ok := node.Parent()
		if !ok || parent.Kind() != ast.SelectKind {
			whole = fmt.Errorf("write %s.NAME: %s cannot be used as a whole or with an index", node.AsIdent(), node.AsIdent())
			continue
		}
		*into = append(*into, parent.AsSelect().FieldName())
	}
	return whole
}

// conjuncts are the operands of the outermost &&, from left to right.
func conjuncts(e ast.Expr) []ast.Expr {
	if e.Kind() != ast.CallKind || e.AsCall().FunctionName() != operators.LogicalAnd {
		return []ast.Expr{e}
	}
	var out []ast.Expr
	for _, arg := range e.AsCall().Args() {
		out = append(out, conjuncts(arg)...)
	}
	return out
}

// requiredRole reads "name" in roles.
func requiredRole(e ast.Expr) (string, bool) {
	if e.Kind() != ast.CallKind || e.AsCall().FunctionName() != operators.In {
		return "", false
	}
	args := e.AsCall().Args()
	if len(args) != 2 || args[0].Kind() != ast.LiteralKind || args[1].Kind() != ast.IdentKind || args[1].AsIdent() != "roles" {
		return "", false
	}
	role, ok := args[0].AsLiteral().Value().(string)
	return role, ok
}

// holds evaluates the condition.
func (c *condition) holds(input any) (bool, error) {
	out, _, err := c.program.Eval(input)
	if err != nil {
		return false, err
	}
	holds, ok := out.Value().(bool)
	if !ok {
		return false, errNotBool
	}
	return holds, nil
}
