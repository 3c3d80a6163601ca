package rules

import (
	"errors"
	"fmt"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/checker"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/parser"

	"harmony.internal/authcallout/shared/wire"
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
	always  bool     // it holds for every token
	never   bool     // it holds for none
	vars    []string // the variables that it asks for
	client  []string // the members of client that it asks for
	claims  []string // the claims that it asks for by name
	// wholeClaims says that it uses claims in another way than by name.
	wholeClaims bool
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
	options := []cel.ProgramOption{cel.EvalOptions(cel.OptOptimize)}
	if !e.alwaysCheap(checked) {
		options = append(options, cel.CostLimit(maxCost))
	}
	program, err := e.cel.Program(checked, options...)
	if err != nil {
		return nil, err
	}
	c := &condition{program: program, text: text}
	return c, c.look(checked)
}

// alwaysCheap reports whether no token can make an expression cost more than maxCost, so that it need not be metered:
// metering costs four times what a plain comparison does. What iterates is metered always.
func (e *environment) alwaysCheap(checked *cel.Ast) bool {
	tree := ast.NavigateAST(checked.NativeRep())
	if len(ast.MatchDescendants(tree, ast.KindMatcher(ast.ComprehensionKind))) > 0 {
		return false
	}
	worst, err := e.cel.EstimateCost(checked, largestInput{})
	return err == nil && worst.Max <= maxCost
}

// largestInput is the largest that any part of a decision's input can be: a claim is no larger than all of them, and a
// role stands among them with its quotes and a comma.
type largestInput struct{}

// shortestRole is the bytes of "" and a comma.
const shortestRole = 3

// EstimateSize implements checker.CostEstimator.
func (largestInput) EstimateSize(node checker.AstNode) *checker.SizeEstimate {
	if path := node.Path(); len(path) == 1 && path[0] == "roles" {
		return &checker.SizeEstimate{Max: wire.MaxClaimsBytes / shortestRole}
	}
	return &checker.SizeEstimate{Max: wire.MaxClaimsBytes}
}

// EstimateCallCost implements checker.CostEstimator: CEL's own figures hold.
func (largestInput) EstimateCallCost(string, string, *checker.AstNode, []checker.AstNode) *checker.CallEstimate {
	return nil
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
	var whole error
	idents := ast.MatchDescendants(ast.NavigateAST(tree), ast.KindMatcher(ast.IdentKind))
	if len(idents) == 0 { // the same for every token
		holds, err := c.holds(map[string]any{})
		c.always, c.never = err == nil && holds, err != nil || !holds
	}
	for _, node := range idents {
		name, named := memberAsked(node)
		switch node.AsIdent() {
		case "claims":
			if named {
				c.claims = append(c.claims, name)
			}
			c.wholeClaims = c.wholeClaims || !named
		case "vars", "client":
			if parent, ok := node.Parent(); !ok || parent.Kind() != ast.SelectKind {
				whole = fmt.Errorf("write %s.NAME: %s cannot be used as a whole or with an index", node.AsIdent(), node.AsIdent())
			} else if node.AsIdent() == "vars" {
				c.vars = append(c.vars, name)
			} else {
				c.client = append(c.client, name)
			}
		}
	}
	return whole
}

// memberAsked returns the one member that an expression takes of the map node: map.name, map["name"], "name" in map or
// has(map.name).
func memberAsked(node ast.NavigableExpr) (string, bool) {
	parent, ok := node.Parent()
	if !ok {
		return "", false
	}
	switch parent.Kind() {
	case ast.SelectKind:
		return parent.AsSelect().FieldName(), true
	case ast.CallKind:
		args := parent.AsCall().Args()
		switch parent.AsCall().FunctionName() {
		case operators.Index:
			if args[0].ID() == node.ID() {
				return textLiteral(args[1])
			}
		case operators.In:
			if args[1].ID() == node.ID() {
				return textLiteral(args[0])
			}
		}
	}
	return "", false
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
