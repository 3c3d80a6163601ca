// Package faults tests what becomes of a steady stream of logins while parts of the system die, hang, restart or are cut
// off. For tests only.
package faults
