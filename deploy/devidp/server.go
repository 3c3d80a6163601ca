package devidp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// Server is a provider that listens.
type Server struct {
	*Provider
	addr string
	http *http.Server
	done chan struct{}
	err  error // valid once done is closed
}

const readHeaderTimeout = 5 * time.Second

// Start listens and serves until Stop. The caller may obtain tokens when it returns.
func Start(cfg Config) (*Server, error) {
	cfg.setDefaults()
	if err := cfg.check(); err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("%w: another process has the port; name another with -listen", err)
	}
	if cfg.Issuer == "" {
		cfg.Issuer = "http://" + listener.Addr().String()
	}
	provider, err := New(cfg)
	if err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	s := &Server{
		Provider: provider,
		addr:     listener.Addr().String(),
		http:     &http.Server{Handler: provider, ReadHeaderTimeout: readHeaderTimeout},
		done:     make(chan struct{}),
	}
	if err := writeEndpoint(cfg.DataDir, Endpoint{Issuer: cfg.Issuer, Project: cfg.Project, Admin: adminURL(listener.Addr())}); err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	go func() {
		defer close(s.done)
		if err := s.http.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			s.err = err
		}
	}()
	return s, nil
}

// Addr is the host:port listened on.
func (s *Server) Addr() string { return s.addr }

// Done is closed when the server no longer serves, by Stop or because it failed; then Err says which.
func (s *Server) Done() <-chan struct{} { return s.done }

// Err is why the server no longer serves: nil after Stop. Valid once Done is closed.
func (s *Server) Err() error { return s.err }

// Stop ends the server; requests in progress are finished while ctx lasts.
func (s *Server) Stop(ctx context.Context) error {
	err := s.http.Shutdown(ctx)
	<-s.done
	return err
}

// Endpoint is what a data directory says about the server that runs on it, for the commands and for scripts.
type Endpoint struct {
	Issuer  string `json:"issuer"`
	Project string `json:"project"`
	Admin   string `json:"admin"` // base URL of the administration, on this machine
}

const endpointFile = "endpoint.json"

func writeEndpoint(dataDir string, e Endpoint) error {
	raw, err := json.MarshalIndent(e, "", "  ")
	if err != nil {
		return err
	}
	return writeSecretFile(filepath.Join(dataDir, endpointFile), append(raw, '\n'))
}

// ReadEndpoint returns where the server of this data directory is, or was last.
func ReadEndpoint(dataDir string) (Endpoint, error) {
	raw, err := os.ReadFile(filepath.Join(dataDir, endpointFile)) //nolint:gosec // the data directory is the operator's own
	if err != nil {
		return Endpoint{}, fmt.Errorf("%w: is the provider running, and is this its data directory?", err)
	}
	var e Endpoint
	return e, json.Unmarshal(raw, &e)
}

// adminURL is how this machine reaches the server: on loopback also when it listens on every address.
func adminURL(addr net.Addr) string {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok || !tcp.IP.IsUnspecified() {
		return "http://" + addr.String()
	}
	return fmt.Sprintf("http://127.0.0.1:%d", tcp.Port)
}

// Banner tells a person what this is; it belongs on standard error before anything else.
func (s *Server) Banner(w io.Writer) error {
	_, err := fmt.Fprintf(w, `
  ****************************************************************
  *  DEVELOPMENT IDENTITY PROVIDER. NEVER FOR PRODUCTION.        *
  *  Whoever reads its data directory can be every user.         *
  ****************************************************************
  issuer   %s
  project  %s
  data     %s

`, s.Issuer(), s.Project(), s.config.DataDir)
	return err
}
