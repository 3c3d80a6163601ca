package devidp

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
)

// The administration speaks JSON over HTTP to callers on this machine that can read the data directory.
const (
	adminUsers      = "/admin/users"
	adminDeactivate = "/admin/users/{name}/deactivate"
	adminReactivate = "/admin/users/{name}/reactivate"
	adminRotate     = "/admin/keys/rotate"

	adminTokenFile    = "admin.token"
	maxAdminBodyBytes = 64 << 10
)

func openAdminToken(dataDir string) (string, error) {
	path := filepath.Join(dataDir, adminTokenFile)
	raw, err := os.ReadFile(path) //nolint:gosec // the data directory is the operator's own
	if err == nil {
		return string(bytes.TrimSpace(raw)), nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	token := newSecret()
	return token, writeSecretFile(path, []byte(token+"\n"))
}

func (p *Provider) route(oidcHandler http.Handler, adminToken string) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", oidcHandler)
	mux.HandleFunc("GET /{$}", p.landingPage)
	admin := func(pattern string, do func(*http.Request) (any, error)) {
		mux.Handle("POST "+pattern, adminOnly(adminToken, answerJSON(do)))
	}
	admin(adminUsers, func(r *http.Request) (any, error) {
		var u User
		if err := json.NewDecoder(r.Body).Decode(&u); err != nil {
			return nil, fmt.Errorf("the body is not a user: %w", err)
		}
		return p.AddUser(u)
	})
	admin(adminDeactivate, func(r *http.Request) (any, error) { return struct{}{}, p.Deactivate(r.PathValue("name")) })
	admin(adminReactivate, func(r *http.Request) (any, error) { return struct{}{}, p.Reactivate(r.PathValue("name")) })
	admin(adminRotate, func(r *http.Request) (any, error) {
		var o RotateOptions
		if err := json.NewDecoder(r.Body).Decode(&o); err != nil {
			return nil, fmt.Errorf("the body is not a rotation: %w", err)
		}
		kid, err := p.Rotate(o)
		return map[string]string{"kid": kid}, err
	})
	return developmentOnly(mux)
}

// developmentOnly marks every answer as what it is.
func developmentOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Development-Only", "never for production")
		next.ServeHTTP(w, r)
	})
}

// adminOnly asks for two things at once: the secret of the data directory, and a caller on this machine. The address alone would let
// any page in a browser here administrate.
func adminOnly(token string, next http.Handler) http.Handler {
	want := hashSecret("Bearer " + token)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, err := net.SplitHostPort(r.RemoteAddr)
		ip := net.ParseIP(host)
		if err != nil || ip == nil || !ip.IsLoopback() {
			http.Error(w, "the administration answers callers on this machine alone", http.StatusForbidden)
			return
		}
		if !secretMatches(r.Header.Get("Authorization"), want) {
			http.Error(w, "the administration wants the token in "+adminTokenFile+" of the data directory", http.StatusUnauthorized)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxAdminBodyBytes)
		next.ServeHTTP(w, r)
	})
}

func answerJSON(do func(*http.Request) (any, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer, err := do(r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(answer) // the caller is gone if this fails
	})
}
