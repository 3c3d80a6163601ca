// Package command is what the policy program does for people: check, test, explain, diff and put. It signs nothing and
// needs no running service but for put.
package command
