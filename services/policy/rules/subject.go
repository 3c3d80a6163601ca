package rules

import "strings"

// covers reports whether every subject that inner stands for is one that outer stands for, as nats-server matches.
func covers(outer, inner string) bool {
	for {
		ot, orest, omore := strings.Cut(outer, ".")
		it, irest, imore := strings.Cut(inner, ".")
		switch {
		case ot == ">":
			return true
		case it == ">", it == "*" && ot != "*", ot != "*" && ot != it:
			return false
		case !omore || !imore:
			return omore == imore
		}
		outer, inner = orest, irest
	}
}

// overlaps reports whether some subject is one of both a and b.
func overlaps(a, b string) bool {
	for {
		at, arest, amore := strings.Cut(a, ".")
		bt, brest, bmore := strings.Cut(b, ".")
		switch {
		case at == ">" || bt == ">":
			return true
		case at != bt && at != "*" && bt != "*":
			return false
		case !amore || !bmore:
			return amore == bmore
		}
		a, b = arest, brest
	}
}
