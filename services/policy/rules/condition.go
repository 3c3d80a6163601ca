package rules

import (
	"errors"
	"fmt"
	"strings"

	"cel.dev/cel-go/cel"
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
		cel.ASTValidators(cel.ValidateRegexLiterals(), cel.ValidateDurationLiterals(), cel.ValidateTimestampLiterals()),
		cel.ParserExpressionSizeLimit(maxConditionBytes),
		cel.ParserRecursionLimit(64),
	)
	if err != nil {
		return nil, err
	}
	return &environment{cel: env}, nil
}

// condition is a compiled expression. Safe for concurrent use.
type condition struct{ program cel.Program }

var errNotBool = errors.New("must be true or false")

func (e *environment) compile(text string) (*condition, error) {
	if strings.TrimSpace(text) == "" {
		return nil, errors.New(`is required; write "true" for every verified token`)
	}
	ast, issues := e.cel.Compile(text)
	if err := issues.Err(); err != nil {
		return nil, fmt.Errorf("%s", firstLine(err.Error()))
	}
	if t := ast.OutputType(); !t.IsExactType(cel.BoolType) && !t.IsExactType(cel.DynType) {
		return nil, fmt.Errorf("is of type %s and %w", t, errNotBool)
	}
	program, err := e.cel.Program(ast, cel.CostLimit(maxCost), cel.EvalOptions(cel.OptOptimize))
	if err != nil {
		return nil, err
	}
	return &condition{program: program}, nil
}

// firstLine is CEL's message without the excerpt that it draws below.
func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return strings.TrimPrefix(line, "ERROR: <input>:")
}

// holds evaluates the condition.
func (c *condition) holds(input map[string]any) (bool, error) {
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
