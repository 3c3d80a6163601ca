package rules

// index finds the rules that can apply to a token: a rule that asks for a role is tried for tokens with that role alone,
// so that a decision costs what the rules for its roles cost, and not what all do.
type index struct {
	any    []int            // rules that ask for no role, ascending
	byRole map[string][]int // ascending
}

func newIndex(rules []*rule) index {
	x := index{byRole: map[string][]int{}}
	for i, r := range rules {
		if r.condition == nil || r.condition.role == "" {
			x.any = append(x.any, i)
		} else {
			x.byRole[r.condition.role] = append(x.byRole[r.condition.role], i)
		}
	}
	return x
}

// candidates calls try with the numbers of the rules that can apply, in their order, until it returns false.
func (x *index) candidates(roles []string, try func(i int) bool) {
	var buffer [8][]int
	lists := append(buffer[:0], x.any)
	for _, role := range roles {
		if list := x.byRole[role]; len(list) > 0 {
			lists = append(lists, list)
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
