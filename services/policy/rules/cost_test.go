package rules

import (
	"encoding/json"
	"strings"
	"testing"

	"cel.dev/cel-go/cel"

	"harmony.internal/authcallout/shared/wire"
)

// TestCheapConditionsAreCheap: what runs without a meter stays below maxCost on the largest input there can be.
func TestCheapConditionsAreCheap(t *testing.T) {
	env, err := newEnvironment()
	if err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("x", wire.MaxClaimsBytes-32)
	list := "[" + strings.Repeat("1,", wire.MaxClaimsBytes/2-32) + "1]"
	policy := &Policy{claims: claimNeeds{whole: true}}
	for _, tt := range []struct {
		when  string
		cheap bool
	}{
		{`true`, true},
		{`"device" in roles`, true},
		{`"device" in roles && issuer == "https://id.example.com"`, true},
		{`claims.tenant == "a" || claims.tenant == "b"`, true},
		{`claims.tenant.startsWith("tenant-1")`, true},
		{`has(claims.a) && claims.a == claims.b`, true},
		{`claims.a.matches("^(x+x+)+y$")`, true},
		{`"7" in claims.a`, true},
		{`claims.a + claims.a + claims.a + claims.a + claims.a + claims.a + claims.a + claims.a + claims.a + claims.a == claims.b`, false},
		{`claims.a.all(x, x == 1)`, false},
		{`roles.exists(r, r.startsWith("x"))`, false},
		{`"a" in roles || "b" in roles || "c" in roles || "d" in roles || "e" in roles`, false},
	} {
		checked, issues := env.cel.Compile(tt.when)
		if issues.Err() != nil {
			t.Fatal(issues.Err())
		}
		if got := env.alwaysCheap(checked); got != tt.cheap {
			t.Errorf("%s: always cheap %v, want %v", tt.when, got, tt.cheap)
		}
		if !tt.cheap {
			continue
		}
		program, err := env.cel.Program(checked, cel.CostTracking(nil))
		if err != nil {
			t.Fatal(err)
		}
		roles := strings.Split(strings.Repeat(",", wire.MaxClaimsBytes/shortestRole), ",")
		for _, claims := range []string{`{"a":"` + long + `","b":"","tenant":"x"}`, `{"a":` + list + `,"b":1}`, `{"tenant":"` + long + `"}`} {
			f, fail := policy.newFacts(&wire.DecideRequest{Token: wire.Verified{Roles: roles, Claims: json.RawMessage(claims)}}, Context{})
			if fail != nil {
				t.Fatal(fail)
			}
			_, details, _ := program.Eval(f) // that it fails is no matter: it costs what it costs until then
			if cost := details.ActualCost(); cost == nil || *cost > maxCost {
				t.Errorf("%s costs %v", tt.when, cost)
			}
		}
	}
}

// BenchmarkCondition is what the meter costs.
func BenchmarkCondition(b *testing.B) {
	env, err := newEnvironment()
	if err != nil {
		b.Fatal(err)
	}
	checked, issues := env.cel.Compile(`"device" in roles && claims.tenant == "a"`)
	if issues.Err() != nil {
		b.Fatal(issues.Err())
	}
	for _, bench := range []struct {
		name    string
		options []cel.ProgramOption
	}{{"metered", []cel.ProgramOption{cel.CostLimit(maxCost)}}, {"not metered", nil}} {
		b.Run(bench.name, func(b *testing.B) {
			program, err := env.cel.Program(checked, append(bench.options, cel.EvalOptions(cel.OptOptimize))...)
			if err != nil {
				b.Fatal(err)
			}
			f, _ := (&Policy{claims: claimNeeds{whole: true}}).newFacts(&wire.DecideRequest{Token: wire.Verified{Roles: []string{"device"}, Claims: json.RawMessage(`{"tenant":"a"}`)}}, Context{})
			b.ReportAllocs()
			for b.Loop() {
				if holds, _, err := program.Eval(f); err != nil || holds.Value() != true {
					b.Fatal(holds, err)
				}
			}
		})
	}
}
