package deployment

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
)

// programs are the static binaries of the images, each called as the last element of its package. They are built in the
// workspace, as everything here is; nats-server out of its own module.
var programs = []string{
	"./services/callout/cmd/callout",
	"./services/tokencheck/cmd/tokencheck",
	"./services/policy/cmd/policy",
	"./deploy/devidp/cmd/devidp",
	"github.com/nats-io/nats-server/v2",
	"./deploy/podman/cmd/healthcheck",
	"./deploy/podman/cmd/demodevice",
}

// stamped are the programs that say their version. The others must not know it, so that an upgrade leaves the servers running:
// even a flag without effect changes a program's build id.
const stamped = "harmony.internal/authcallout/services/..."

// images are the targets of the Containerfile, and what each is made of.
var images = []struct {
	name     string
	programs []string
}{
	{callout, []string{callout}},
	{tokencheck, []string{tokencheck}},
	{policy, []string{policy}},
	{natsServer, []string{natsServer, "healthcheck"}},
	{"devidp", []string{"devidp", "healthcheck"}},
	{"demodevice", []string{"demodevice"}},
}

// natsServer is nats-server's program and image.
const natsServer = "nats-server"

// ImageName is how an image of a version is called on this host.
func ImageName(image, version string) string { return "localhost/authcallout/" + image + ":" + version }

// contentLabel is the label of an image that names what it was made of.
const contentLabel = "authcallout.content"

// BuildImages builds the programs below root, and an image of each of which there is none with the same content yet. The
// same sources, Go version and engine give the same images: paths are trimmed, and every time stamp is the epoch. A program
// keeps its build id, by which go sees that it need not be linked again.
func (e *Engine) BuildImages(ctx context.Context, root, version string) error {
	target := filepath.Join(root, "deploy", "podman", "build")
	if err := os.MkdirAll(filepath.Join(target, "data"), 0o755); err != nil { //nolint:gosec // the content of an image, no secret
		return err
	}
	args := append([]string{
		"build", "-trimpath", "-buildvcs=false",
		"-ldflags", "-s -w", "-ldflags", stamped + "=-s -w -X harmony.internal/authcallout/shared/run.Version=" + version,
		"-o", target + string(filepath.Separator),
	}, programs...)
	cmd := exec.CommandContext(ctx, "go", args...) //nolint:gosec // our own packages
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building the programs: %w: %s", err, lastLines(string(out), 10))
	}
	for _, image := range images {
		if err := e.buildImage(ctx, filepath.Join(root, "deploy", "podman", "Containerfile"), target, image.name, version, image.programs); err != nil {
			return err
		}
	}
	return e.works(ctx, ImageName(callout, version))
}

func (e *Engine) buildImage(ctx context.Context, containerfile, target, image, version string, programs []string) error {
	files := []string{containerfile}
	for _, p := range programs {
		files = append(files, filepath.Join(target, p))
	}
	content, err := hashFiles(files)
	if err != nil {
		return err
	}
	name := ImageName(image, version)
	there, err := e.run(ctx, "image", "inspect", "--format", `{{index .Config.Labels "`+contentLabel+`"}}`, name)
	if err == nil && there == content {
		return nil
	}
	args := []string{"build", "-f", containerfile, "--target", image, "-t", name, "--label", contentLabel + "=" + content}
	if e.cli[0] == "podman" {
		args = append(args, "--format", "docker", "--timestamp", "0")
	}
	_, err = e.run(ctx, append(args, target)...)
	return err
}

func hashFiles(files []string) (string, error) {
	h := sha256.New()
	for _, file := range files {
		f, err := os.Open(file) //nolint:gosec // below the repository
		if err != nil {
			return "", err
		}
		_, err = io.Copy(h, f)
		if err = errors.Join(err, f.Close()); err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// works runs the smallest of containers, so that a host that cannot run any says so before anything is touched.
func (e *Engine) works(ctx context.Context, image string) error {
	_, err := e.run(ctx, "run", "--rm", "--network", "none", image, "-version")
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s cannot run a container on this host: %w; inside another container it needs one that was started with --privileged, "+
		"or with CAP_SYS_ADMIN, CAP_NET_ADMIN and cgroups that can be written; deploy/podman/with-podman sets it up for a host with fewer rights", e.cli[0], err)
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
