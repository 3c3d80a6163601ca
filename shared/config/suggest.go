package config

import (
	"maps"
	"reflect"
	"slices"
)

// didYouMean names the key that was probably meant, or nothing.
func didYouMean(name string, fields map[string]reflect.Value) string {
	best, at := "", 3
	for _, candidate := range slices.Sorted(maps.Keys(fields)) {
		if d := distance(name, candidate); d < at {
			best, at = candidate, d
		}
	}
	if best == "" {
		return ""
	}
	return "; did you mean " + best + "?"
}

// distance is the Levenshtein distance in bytes.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
