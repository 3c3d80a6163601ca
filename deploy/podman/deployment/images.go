package deployment

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
)

// program is one static binary of an image.
type program struct {
	name, pkg string
}

// The packages are built in the workspace, as everything here is; nats-server out of its own module.
var programs = []program{
	{callout, "./services/callout/cmd/callout"},
	{tokencheck, "./services/tokencheck/cmd/tokencheck"},
	{policy, "./services/policy/cmd/policy"},
	{"devidp", "./deploy/devidp/cmd/devidp"},
	{"nats-server", "github.com/nats-io/nats-server/v2"},
	{"healthcheck", "./deploy/podman/cmd/healthcheck"},
	{"demodevice", "./deploy/podman/cmd/demodevice"},
}

var images = []string{callout, tokencheck, policy, "nats-server", "devidp", "demodevice"}

// ImageName is how an image of a version is called on this host.
func ImageName(image, version string) string { return "localhost/authcallout/" + image + ":" + version }

// BuildImages builds the programs below root and an image of each. The same sources, Go version and engine give the same
// images: paths are trimmed, and every time stamp is the epoch.
func (e *Engine) BuildImages(ctx context.Context, root, version string) error {
	target := filepath.Join(root, "deploy", "podman", "build")
	if err := os.MkdirAll(filepath.Join(target, "data"), 0o755); err != nil { //nolint:gosec // the content of an image, no secret
		return err
	}
	for _, p := range programs {
		cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", //nolint:gosec // our own packages
			"-ldflags", "-s -w -buildid= -X harmony.internal/authcallout/shared/run.Version="+version,
			"-o", filepath.Join(target, p.name), p.pkg)
		cmd.Dir = root
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("building %s: %w: %s", p.name, err, lastLines(string(out), 10))
		}
	}
	for _, image := range images {
		args := []string{"build", "-f", filepath.Join(root, "deploy", "podman", "Containerfile"), "--target", image, "-t", ImageName(image, version)}
		if e.cli[0] == "podman" {
			args = append(args, "--format", "docker", "--timestamp", "0")
		}
		if _, err := e.run(ctx, append(args, target)...); err != nil {
			return err
		}
	}
	return nil
}

// imageID returns the id of an image, "" when there is none.
func (e *Engine) imageID(ctx context.Context, image string) (string, error) {
	id, err := e.run(ctx, "image", "inspect", "--format", "{{.Id}}", image)
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return "", nil
	}
	return id, err
}

// Root finds the repository that the working directory is in.
func Root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.work")); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New("not inside the repository: no go.work above the working directory")
		}
	}
}

func say(out io.Writer, format string, args ...any) { _, _ = fmt.Fprintf(out, format+"\n", args...) }
