package standalone

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"harmony.internal/authcallout/deploy/topology"
)

// Files in the data directory, besides the keys and JetStream's store.
const (
	ServerFile     = "nats-server.conf"
	CalloutFile    = "callout.yaml"
	TokencheckFile = "tokencheck.yaml"
	PolicyFile     = "policy.yaml"
	RulesFile      = "rules.yaml"
	// KeysDir holds the seeds and passwords.
	KeysDir = "keys"
	// StoreDir is JetStream's.
	StoreDir = "jetstream"
)

// What a first start assumes when it is not told.
const (
	DefaultListen = "127.0.0.1:4222"
	DefaultRole   = "device"
	// DefaultDeviceClaim is the one claim that no device can change and that no two devices share.
	DefaultDeviceClaim = "sub"
)

// Setup is what a first start has to be told. It only shapes files that are not there yet.
type Setup struct {
	DataDir     string
	Issuer      string // required while tokencheck.yaml is not there
	Project     string // likewise
	Role        string
	DeviceClaim string
	Listen      string
}

// Written is what Setup.Write made: nothing when all was there.
type Written struct {
	Dir     string
	Secrets []string // paths
	Files   []File
}

// File is a configuration file; it holds no secret.
type File struct{ Name, Text string }

// Write makes the data directory, and in it the keys and files that are missing. Keys are only made together with the
// server's configuration, which names their public halves; a key that is lost later is the operator's to restore. One process at a
// time may call it for a directory: the keys of one would be in the files of the other.
func (s Setup) Write() (Written, error) {
	dir, err := filepath.Abs(s.DataDir)
	if err != nil {
		return Written{}, err
	}
	w := Written{Dir: dir}
	missing, err := s.begin()
	if err != nil || len(missing) == 0 {
		return w, err
	}
	var id topology.Identities
	if missing[ServerFile] {
		if id, w.Secrets, err = topology.Ensure(topology.FlatFiles(filepath.Join(dir, KeysDir))); err != nil {
			return w, err
		}
	}
	for _, f := range s.files() {
		if !missing[f.name] {
			continue
		}
		text, err := f.render(dir, id)
		if err == nil {
			err = topology.WriteSecret(filepath.Join(dir, f.name), []byte(text))
		}
		if err != nil {
			return w, fmt.Errorf("%s: %w", f.name, err)
		}
		w.Files = append(w.Files, File{f.name, text})
	}
	return w, nil
}

// begin returns which files are missing. If any are, it makes sure that they can be made, and makes the data directory.
func (s Setup) begin() (map[string]bool, error) {
	missing, err := missingFiles(s.DataDir)
	if err != nil || len(missing) == 0 {
		return nil, err
	}
	if err := s.check(missing); err != nil {
		return nil, err
	}
	return missing, makePrivate(s.DataDir)
}

// missingFiles returns which of the configuration files are not there.
func missingFiles(dir string) (map[string]bool, error) {
	missing := map[string]bool{}
	for _, name := range []string{ServerFile, CalloutFile, TokencheckFile, PolicyFile, RulesFile} {
		switch _, err := os.Stat(filepath.Join(dir, name)); {
		case errors.Is(err, fs.ErrNotExist):
			missing[name] = true
		case err != nil:
			return nil, err
		}
	}
	return missing, nil
}

// makePrivate makes dir, or says that others can look into one that was there.
func makePrivate(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("the data directory cannot be made: %w", err)
	}
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("%s: others can look into it (%v), and it is to hold keys: chmod 700 it, or name another directory with -data", dir, info.Mode().Perm())
	}
	return nil
}

// roleName is what can stand in a rule's condition and a file as it is.
var roleName = regexp.MustCompile(`^[A-Za-z0-9_.:/-]{1,200}$`)

// check reports everything that is wrong with what the missing files need.
func (s Setup) check(missing map[string]bool) error {
	var problems []error
	bad := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	if missing[TokencheckFile] {
		if u, err := url.Parse(s.Issuer); s.Issuer == "" {
			bad("-issuer is required at the first start: the address of your provider, for example https://zitadel.example.com")
		} else if err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") {
			bad("-issuer %q is not a URL: write it as the provider's /.well-known/openid-configuration has it", s.Issuer)
		}
		if s.Project == "" {
			bad("-project is required at the first start: the id on the project's page in Zitadel's console")
		} else if !roleName.MatchString(s.Project) {
			bad("-project %q is not a project's id", s.Project)
		}
	}
	if missing[RulesFile] {
		if !roleName.MatchString(s.Role) {
			bad("-role %q: letters, digits and . _ : / - are possible", s.Role)
		}
		if !roleName.MatchString(s.DeviceClaim) {
			bad("-device-claim %q: letters, digits and . _ : / - are possible", s.DeviceClaim)
		}
	}
	if host, port, err := net.SplitHostPort(s.Listen); missing[ServerFile] && (err != nil || host == "" || port == "") {
		bad("-listen %q: HOST:PORT is needed, for example %s; 0.0.0.0 is every address", s.Listen, DefaultListen)
	}
	return errors.Join(problems...)
}

// print tells what was written, or that the flags had nothing to shape.
func (w Written) print(out io.Writer, given []string) error {
	var b strings.Builder
	if len(w.Files) == 0 {
		if len(given) > 0 {
			fmt.Fprintf(&b, "%s is configured already: %s shape the first start alone; edit the files there instead\n", w.Dir, strings.Join(given, " "))
		}
		_, err := io.WriteString(out, b.String())
		return err
	}
	fmt.Fprintf(&b, "First start: this is the configuration now, in %s. Edit it as you like.\n", w.Dir)
	for _, f := range w.Files {
		fmt.Fprintf(&b, "\n---- %s\n%s", f.Name, f.Text)
	}
	if len(w.Secrets) > 0 {
		fmt.Fprintf(&b, "\nKeys, readable by you alone. Keep a copy of them somewhere safe:\n")
		for _, path := range w.Secrets {
			fmt.Fprintf(&b, "  %s\n", path)
		}
	}
	b.WriteString("\n")
	_, err := io.WriteString(out, b.String())
	return err
}
