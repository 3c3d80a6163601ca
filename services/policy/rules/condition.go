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
		cel.Variable("metadata", cel.MapType(cel.StringType, cel.StringType)),
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
	need    need     // without which it cannot hold
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
		if n := needOf(part); n.kind > c.need.kind {
			c.need = n
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

// need is one thing that a condition asks of a token.
type need struct {
	kind  needKind
	claim string // for needClaim
	value string
}

type needKind uint8

// The further down, the fewer tokens have it.
const (
	needNothing needKind = iota
	needIssuer           // issuer == "value"
	needRole             // "value" in roles
	needClaim            // claims.claim == "value"
)

// needOf reads one part of a condition.
func needOf(e ast.Expr) need {
	if e.Kind() != ast.CallKind || len(e.AsCall().Args()) != 2 {
		return need{}
	}
	left, right := e.AsCall().Args()[0], e.AsCall().Args()[1]
	switch e.AsCall().FunctionName() {
	case operators.In:
		if role, ok := textLiteral(left); ok && isIdent(right, "roles") {
			return need{kind: needRole, value: role}
		}
	case operators.Equals:
		if _, ok := textLiteral(left); ok {
			left, right = right, left
		}
		value, ok := textLiteral(right)
		switch {
		case !ok:
		case isIdent(left, "issuer"):
			return need{kind: needIssuer, value: value}
		case left.Kind() == ast.SelectKind && !left.AsSelect().IsTestOnly() && isIdent(left.AsSelect().Operand(), "claims"):
			return need{kind: needClaim, claim: left.AsSelect().FieldName(), value: value}
		}
	}
	return need{}
}

func isIdent(e ast.Expr, name string) bool { return e.Kind() == ast.IdentKind && e.AsIdent() == name }

func textLiteral(e ast.Expr) (string, bool) {
	if e.Kind() != ast.LiteralKind {
		return "", false
	}
	text, ok := e.AsLiteral().Value().(string)
	return text, ok
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
