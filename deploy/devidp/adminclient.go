package devidp

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
)

// Admin administrates the server that runs on a data directory, from another process on the same machine.
type Admin struct {
	// DataDir of the server.
	DataDir string
}

// AddUser is Provider.AddUser.
func (a Admin) AddUser(ctx context.Context, u User) (NewUserInfo, error) {
	var info NewUserInfo
	return info, a.post(ctx, adminUsers, u, &info)
}

// Deactivate is Provider.Deactivate.
func (a Admin) Deactivate(ctx context.Context, user string) error {
	return a.post(ctx, strings.Replace(adminDeactivate, "{name}", url.PathEscape(user), 1), struct{}{}, nil)
}

// Reactivate is Provider.Reactivate.
func (a Admin) Reactivate(ctx context.Context, user string) error {
	return a.post(ctx, strings.Replace(adminReactivate, "{name}", url.PathEscape(user), 1), struct{}{}, nil)
}

// Rotate is Provider.Rotate.
func (a Admin) Rotate(ctx context.Context, o RotateOptions) (kid string, err error) {
	var made struct {
		Kid string `json:"kid"`
	}
	err = a.post(ctx, adminRotate, o, &made)
	return made.Kid, err
}

func (a Admin) post(ctx context.Context, path string, body, answer any) error {
	endpoint, err := ReadEndpoint(a.DataDir)
	if err != nil {
		return err
	}
	token, err := os.ReadFile(filepath.Join(a.DataDir, adminTokenFile))
	if err != nil {
		return err
	}
	raw, err := json.Marshal(body)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint.Admin+path, bytes.NewReader(raw))
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+string(bytes.TrimSpace(token)))
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("%w: is the provider running?", err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(response.Body, maxAdminBodyBytes))
		return fmt.Errorf("the provider refused: %s", bytes.TrimSpace(text))
	}
	if answer == nil {
		return nil
	}
	return json.NewDecoder(response.Body).Decode(answer)
}
