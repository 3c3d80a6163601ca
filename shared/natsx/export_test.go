package natsx

// HoldAtMost bounds the bytes that nats.go holds for an endpoint that was asked before; what comes beyond them is dropped.
func (s *Server) HoldAtMost(endpoint string, bytes int) error {
	return s.endpoints[endpoint].subscription.Load().SetPendingLimits(-1, bytes)
}
