package faults_test

import (
	"testing"
	"time"

	"harmony.internal/authcallout/e2e/cluster"
	"harmony.internal/authcallout/shared/oidctest"
	"harmony.internal/authcallout/shared/wire"
)

// TestClocks has the clock of one host be wrong by 90 s, either way, while devices log in with tokens issued that moment. The
// sessions end by the token, so nobody's clock but the servers' ends them. policy has no clock that could refuse a login.
func TestClocks(t *testing.T) {
	for _, shape := range []cluster.Shape{cluster.Reference(), cluster.Three()} {
		for _, service := range []string{wire.QueueCallout, wire.QueueTokencheck} {
			for _, off := range []time.Duration{90 * time.Second, -90 * time.Second} {
				t.Run(shape.Name+"/"+service+" "+off.String(), func(t *testing.T) {
					t.Parallel()
					s := &site{network: &proxies{}, Cluster: cluster.Start(t, cluster.Options{
						Shape: shape, Replicas: replicas, Issuer: oidctest.New(t, "EdDSA"),
						Clock: func(name string, replica int) func() time.Time {
							if name != service || replica != 0 {
								return nil
							}
							return func() time.Time { return time.Now().Add(off) }
						},
					})}
					most := 0
					if service == wire.QueueTokencheck && off < 0 {
						most = mayFail // a fresh token lies in that host's future: its logins go to the other replica, or come again
					}
					happen(t, s, fault{name: "clock wrong by " + off.String(), most: most, do: func(*testing.T, *site) { time.Sleep(after) }})
				})
			}
		}
	}
}
