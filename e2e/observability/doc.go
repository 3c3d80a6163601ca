// Package observability tests what is shipped for watching a deployment: the alert rules, the dashboard, and the commands
// of the operator's page.
package observability
