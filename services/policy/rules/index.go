package rules

// index finds the rules that can apply to a token. A rule that needs a role, an issuer or a value of a claim is tried for
// tokens that have it alone, so that a decision costs what the rules that can apply cost, and not what all do.
type index struct {
	any      []int            // rules that need nothing that is known, ascending
	byRole   map[string][]int // each ascending
	byIssuer map[string][]int
	byClaim  map[string]claimIndex
}

// claimIndex is for the rules that need a value of one claim. A token without the claim is tried on all of them: their
// conditions may fail, and that denies.
type claimIndex struct {
	all     []int
	byValue map[string][]int
}

func newIndex(rules []*rule) index {
	x := index{byRole: map[string][]int{}, byIssuer: map[string][]int{}, byClaim: map[string]claimIndex{}}
	for i, r := range rules {
		if r.condition == nil {
			continue // the policy does not compile
		}
		switch n := r.condition.need; n.kind {
		case needRole:
			x.byRole[n.value] = append(x.byRole[n.value], i)
		case needIssuer:
			x.byIssuer[n.value] = append(x.byIssuer[n.value], i)
		case needClaim:
			c, ok := x.byClaim[n.claim]
			if !ok {
				c.byValue = map[string][]int{}
			}
			c.all = append(c.all, i)
			c.byValue[n.value] = append(c.byValue[n.value], i)
			x.byClaim[n.claim] = c
		default:
			x.any = append(x.any, i)
		}
	}
	return x
}

// candidates calls try with the numbers of the rules that can apply, in their order, until it returns false.
func (x *index) candidates(f *facts, try func(i int) bool) {
	var buffer [8][]int
	lists := append(buffer[:0], x.any, x.byIssuer[f.request.Token.Issuer])
	for _, role := range f.request.Token.Roles {
		if list := x.byRole[role]; len(list) > 0 {
			lists = append(lists, list)
		}
	}
	for claim, c := range x.byClaim {
		switch v := f.claims[claim].(type) {
		case string:
			lists = append(lists, c.byValue[v])
		case nil:
			lists = append(lists, c.all)
		}
	}
	last := -1
	for {
		next := -1
		for n, list := range lists {
			for len(list) > 0 && list[0] <= last {
				list = list[1:]
			}
			lists[n] = list
			if len(list) > 0 && (next < 0 || list[0] < next) {
				next = list[0]
			}
		}
		if next < 0 || !try(next) {
			return
		}
		last = next
	}
}
