package devidp_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"harmony.internal/authcallout/deploy/devidp"
)

func TestAdministration(t *testing.T) {
	dir := t.TempDir()
	s := start(t, func(c *devidp.Config) { c.DataDir = dir })
	admin := devidp.Admin{DataDir: dir}
	made, err := admin.AddUser(t.Context(), devidp.User{Name: "sensor-new", Roles: []string{}})
	if err != nil {
		t.Fatal(err)
	}
	_, claims, ok := verify(t, s, profileToken(t, s, "sensor-new", devidp.DeviceScopes(s.Project())...))
	if !ok || claims["sub"] != made.ID || claims[devidp.RolesClaim(s.Project())] != nil {
		t.Errorf("the new user's token: verifies %v, sub %v (made %s), roles %v", ok, claims["sub"], made.ID, claims[devidp.RolesClaim(s.Project())])
	}
	if _, err := admin.AddUser(t.Context(), devidp.User{Name: "sensor-new"}); err == nil || !strings.Contains(err.Error(), "exists already") {
		t.Errorf("the same user again: %v", err)
	}
	if profileToken(t, s, "sensor-new") == "" {
		t.Error("the refused second attempt broke the first user's key")
	}
	kid, err := admin.Rotate(t.Context(), devidp.RotateOptions{Algorithm: "EdDSA", RemoveOld: true})
	if err != nil {
		t.Fatal(err)
	}
	if keys := keySet(t, s).Keys; len(keys) != 1 || keys[0].KeyID != kid || keys[0].Algorithm != "EdDSA" {
		t.Errorf("key set after rotation to %s: %d keys", kid, len(keys))
	}
	if err := admin.Deactivate(t.Context(), "sensor-new"); err != nil {
		t.Fatal(err)
	}
	request := devidp.TokenRequest{Issuer: s.Issuer(), KeyFile: made.KeyFile}
	if _, err := devidp.Token(t.Context(), request); err == nil {
		t.Error("a deactivated user obtained a token")
	}
	if err := admin.Reactivate(t.Context(), "sensor-new"); err != nil {
		t.Fatal(err)
	}
	if _, err := devidp.Token(t.Context(), request); err != nil {
		t.Errorf("a reactivated user: %v", err)
	}
}

func TestAdministrationIsGuarded(t *testing.T) {
	dir := t.TempDir()
	p, err := devidp.New(devidp.Config{DataDir: dir, Issuer: "http://127.0.0.1:1", Algorithm: "ES256", Users: []devidp.User{}})
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(filepath.Join(dir, "admin.token"))
	if err != nil {
		t.Fatal(err)
	}
	right := "Bearer " + strings.TrimSpace(string(raw))
	cases := map[string]struct {
		from, authorization string
		status              int
	}{
		"here, with the token":      {"127.0.0.1:5000", right, http.StatusOK},
		"here by IPv6":              {"[::1]:5000", right, http.StatusOK},
		"here, without":             {"127.0.0.1:5000", "", http.StatusUnauthorized},
		"here, with another":        {"127.0.0.1:5000", "Bearer x", http.StatusUnauthorized},
		"elsewhere, with the token": {"192.0.2.7:5000", right, http.StatusForbidden},
		"from an odd address":       {"somewhere", right, http.StatusForbidden},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			request := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/admin/keys/rotate", strings.NewReader("{}"))
			request.RemoteAddr = c.from
			request.Header.Set("Authorization", c.authorization)
			recorder := httptest.NewRecorder()
			p.ServeHTTP(recorder, request)
			if recorder.Code != c.status {
				t.Errorf("status %d, want %d: %s", recorder.Code, c.status, recorder.Body)
			}
		})
	}
}
