package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// Profile has the three services admit clients, every token new, for a while and writes their profiles into dir, as
// SERVICE.KIND.pb.gz: cpu, allocs, mutex. They are for `go tool pprof`.
func (l *Lab) Profile(ctx context.Context, dir string, algorithm string, lasts time.Duration, workers int) (Steady, error) {
	s, err := l.Three(Options{Profiles: true})
	if err != nil {
		return Steady{}, err
	}
	defer s.Stop()
	handshakes, err := l.Handshakes(algorithm, int(lasts.Seconds()*profilePerSecond))
	if err != nil {
		return Steady{}, err
	}
	if err := s.Ready(handshakes[0]); err != nil {
		return Steady{}, err
	}
	seconds := fmt.Sprintf("?seconds=%d", int(lasts.Seconds()))
	var all sync.WaitGroup
	errs := make(chan error, 3*len(s.monitors))
	for service, address := range s.monitors {
		for kind, path := range map[string]string{"cpu": "profile", "allocs": "allocs", "mutex": "mutex"} {
			all.Go(func() {
				errs <- fetch(ctx, "http://"+address+"/debug/pprof/"+path+seconds, filepath.Join(dir, service+"."+kind+".pb.gz"))
			})
		}
	}
	result := ClosedLoop(s.Addr, handshakes, workers)
	all.Wait()
	close(errs)
	for e := range errs {
		err = errors.Join(err, e)
	}
	return result, err
}

// profilePerSecond is how many tokens are made for each second of a profile.
const profilePerSecond = 1500

func fetch(ctx context.Context, url, file string) error {
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(q)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, response.Status)
	}
	out, err := os.Create(file) //nolint:gosec // the operator's own directory
	if err != nil {
		return err
	}
	_, err = io.Copy(out, response.Body)
	return errors.Join(err, out.Close())
}
