package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"harmony.internal/authcallout/deploy/devidp"
)

// Exit codes, those of every program of this project.
const (
	exitOK      = 0
	exitFailure = 1
	exitUsage   = 2
)

const usage = `devidp: an OpenID provider for development. Never for production.

  devidp serve       run it
  devidp token       obtain an access token with a user's key file and print it
  devidp add-user    make a machine user
  devidp deactivate  stop a user: no new tokens, introspection says inactive
  devidp reactivate  let a stopped user obtain tokens again
  devidp rotate      make a new signing key

Each takes -h. All find the running provider by its data directory, -data.
`

const (
	defaultDataDir = "devidp-data"
	stopTimeout    = 5 * time.Second
)

type command func(ctx context.Context, args []string, stdout, stderr io.Writer) error

// errUsage is an error in the arguments; the flag package has already told the person.
var errUsage = errors.New("usage")

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	commands := map[string]command{
		"serve":      serve,
		"token":      token,
		"add-user":   addUser,
		"deactivate": deactivate,
		"reactivate": reactivate,
		"rotate":     rotate,
	}
	var do command
	if len(args) > 0 {
		do = commands[args[0]]
	}
	if do == nil {
		_, _ = io.WriteString(stderr, usage)
		return exitUsage
	}
	err := do(ctx, args[1:], stdout, stderr)
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return exitOK
	case errors.Is(err, errUsage):
		return exitUsage
	}
	_, _ = fmt.Fprintf(stderr, "devidp %s: %v\n", args[0], err)
	return exitFailure
}

// flags returns a flag set that has -data, and parse, which refuses arguments that are no flags.
func flags(name string, stderr io.Writer) (set *flag.FlagSet, data *string, parse func([]string) error) {
	set = flag.NewFlagSet("devidp "+name, flag.ContinueOnError)
	set.SetOutput(stderr)
	data = set.String("data", defaultDataDir, "data `directory`: signing keys, users, their key files and secrets")
	return set, data, func(args []string) error {
		if err := set.Parse(args); err != nil {
			if errors.Is(err, flag.ErrHelp) {
				return err
			}
			return errUsage
		}
		if set.NArg() > 0 {
			_, _ = fmt.Fprintf(stderr, "unexpected argument %q\n", set.Arg(0))
			return errUsage
		}
		return nil
	}
}

func serve(ctx context.Context, args []string, _, stderr io.Writer) error {
	var cfg devidp.Config
	set, data, parse := flags("serve", stderr)
	set.StringVar(&cfg.Listen, "listen", devidp.DefaultListen, "`host:port` to listen on; port 0 is any free one")
	set.BoolVar(&cfg.AllowNonLoopback, "allow-non-loopback", false, "permit an address that other machines can reach; for a container network")
	set.StringVar(&cfg.Issuer, "issuer", "", "issuer `URL`, as the services reach it (default http:// and the address)")
	set.StringVar(&cfg.Project, "project", devidp.DefaultProject, "project `id` that the users hold their roles in")
	set.StringVar(&cfg.Algorithm, "algorithm", "RS256", "signature `algorithm` of the first key: "+strings.Join(devidp.Algorithms(), ", "))
	set.DurationVar(&cfg.TokenLifetime, "token-lifetime", devidp.DefaultTokenLifetime, "how long an access token lives")
	users := set.String("users", "", "comma-separated `names` of the machine users to make (default sensor-test-01,sensor-a,sensor-b)")
	if err := parse(args); err != nil {
		return err
	}
	cfg.DataDir = *data
	for _, name := range split(*users) {
		cfg.Users = append(cfg.Users, devidp.User{Name: name})
	}
	log := slog.New(slog.NewTextHandler(stderr, nil))
	// The library logs each refused request at warning, and each route at info, to the default logger.
	slog.SetDefault(slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelWarn})))
	cfg.Log = log
	server, err := devidp.Start(cfg)
	if err != nil {
		return err
	}
	if err := server.Banner(stderr); err != nil {
		return err
	}
	select {
	case <-server.Done():
		return server.Err()
	case <-ctx.Done():
		stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
		defer cancel()
		return server.Stop(stopping)
	}
}

func token(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	set, data, parse := flags("token", stderr)
	user := set.String("user", "", "user `name`; its key file is taken from the data directory")
	keyFile := set.String("key-file", "", "machine key `file`, instead of -user; a Zitadel's works too")
	issuer := set.String("issuer", "", "issuer `URL` (default the provider of the data directory)")
	project := set.String("project", "", "project `id` to ask the audience of (default the provider's)")
	scopes := set.String("scopes", "", "space-separated `scopes` to ask for instead")
	if err := parse(args); err != nil {
		return err
	}
	request := devidp.TokenRequest{Issuer: *issuer, Project: *project, KeyFile: *keyFile}
	if *scopes != "" {
		request.Scopes = strings.Fields(*scopes)
	}
	if *issuer == "" || *project == "" && request.Scopes == nil {
		endpoint, err := devidp.ReadEndpoint(*data)
		if err != nil {
			return err
		}
		if request.Issuer == "" {
			request.Issuer = endpoint.Issuer
		}
		if request.Project == "" {
			request.Project = endpoint.Project
		}
	}
	if request.KeyFile == "" {
		if *user == "" {
			return errors.New("whose token? -user NAME or -key-file FILE")
		}
		request.KeyFile = devidp.KeyFilePath(*data, *user)
	}
	obtained, err := devidp.Token(ctx, request)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(stdout, obtained)
	return err
}

func addUser(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	var u devidp.User
	set, data, parse := flags("add-user", stderr)
	set.StringVar(&u.Name, "user", "", "user `name`")
	set.StringVar(&u.DeviceID, "device-id", "", "the claim device_id (default the name)")
	set.StringVar(&u.TokenType, "token-type", devidp.TokenJWT, "`type` of its access tokens: "+devidp.TokenJWT+", or "+devidp.TokenBearer+" for opaque ones")
	roles := set.String("roles", devidp.DefaultRole, "comma-separated `roles` in the project; empty for none")
	if err := parse(args); err != nil {
		return err
	}
	u.Roles = append([]string{}, split(*roles)...)
	made, err := devidp.Admin{DataDir: *data}.AddUser(ctx, u)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(stdout, "user %s has id %s\nkey file  %s\nsecret    %s\n", u.Name, made.ID, made.KeyFile, made.SecretFile)
	return err
}

func deactivate(ctx context.Context, args []string, _, stderr io.Writer) error {
	return changeUser(ctx, "deactivate", devidp.Admin.Deactivate, args, stderr)
}

func reactivate(ctx context.Context, args []string, _, stderr io.Writer) error {
	return changeUser(ctx, "reactivate", devidp.Admin.Reactivate, args, stderr)
}

func changeUser(ctx context.Context, name string, change func(devidp.Admin, context.Context, string) error, args []string, stderr io.Writer) error {
	set, data, parse := flags(name, stderr)
	user := set.String("user", "", "user `name`")
	if err := parse(args); err != nil {
		return err
	}
	if *user == "" {
		return errors.New("which user? -user NAME")
	}
	return change(devidp.Admin{DataDir: *data}, ctx, *user)
}

func rotate(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	var o devidp.RotateOptions
	set, data, parse := flags("rotate", stderr)
	set.StringVar(&o.Algorithm, "algorithm", "", "`algorithm` of the new key (default that of the present one)")
	set.BoolVar(&o.RemoveOld, "remove-old", false, "take older keys out of the key set: their tokens no longer verify")
	if err := parse(args); err != nil {
		return err
	}
	kid, err := devidp.Admin{DataDir: *data}.Rotate(ctx, o)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(stdout, "new signing key %s\n", kid)
	return err
}

func split(list string) []string {
	if list == "" {
		return nil
	}
	return strings.Split(list, ",")
}
