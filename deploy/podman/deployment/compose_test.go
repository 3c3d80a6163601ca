package deployment

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
)

// loadCompose reads the compose files as docker compose does, with its own library.
func loadCompose(t *testing.T, m Modes) *types.Project {
	t.Helper()
	d := &Deployment{Engine: &Engine{}, State: State(t.TempDir()), Project: "authcallout", Version: "1.2.3"}
	environment, err := d.environment(renderIn(t, string(d.State), example(), m))
	if err != nil {
		t.Fatal(err)
	}
	files := []string{"compose.yaml"}
	if m.Development {
		files = append(files, "compose.dev.yaml")
	}
	if m.Cluster {
		files = append(files, "compose.cluster.yaml")
	}
	for i := range files {
		files[i] = filepath.Join("..", files[i])
	}
	options, err := cli.NewProjectOptions(files, cli.WithName(d.Project), cli.WithEnv(environment))
	if err != nil {
		t.Fatal(err)
	}
	p, err := options.LoadProject(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// Every container is confined, in every mode, and reaches no more than it needs.
func TestCompose(t *testing.T) {
	for name, m := range map[string]Modes{
		"one server": {}, "development": {Development: true}, "cluster": {Cluster: true}, "both": {Development: true, Cluster: true},
	} {
		t.Run(name, func(t *testing.T) {
			p := loadCompose(t, m)
			var names []string
			for _, s := range p.Services {
				names = append(names, s.Name)
				if !s.ReadOnly || !slices.Contains(s.CapDrop, "ALL") || len(s.CapAdd) > 0 || s.Privileged ||
					!slices.Contains(s.SecurityOpt, "no-new-privileges:true") || s.User == "" || strings.HasPrefix(s.User, "0") {
					t.Errorf("%s is not confined", s.Name)
				}
				if s.MemLimit == 0 || s.PidsLimit == 0 || s.CPUS == 0 || s.Restart != "unless-stopped" || s.PullPolicy != "never" {
					t.Errorf("%s: memory %v, processes %v, CPUs %v, restart %q, pull %q", s.Name, s.MemLimit, s.PidsLimit, s.CPUS, s.Restart, s.PullPolicy)
				}
				if s.Labels["authcallout.config"] == "" || s.ContainerName != "authcallout-"+s.Name || !strings.HasSuffix(s.Image, ":1.2.3") {
					t.Errorf("%s: label %q, container %q, image %q", s.Name, s.Labels["authcallout.config"], s.ContainerName, s.Image)
				}
				if server := image(s.Name) == natsServer; server != (len(s.Ports) == 1) {
					t.Errorf("%s publishes %v", s.Name, s.Ports)
				}
				for _, v := range s.Volumes {
					kept := image(s.Name) == tokencheck && v.Target == "/var/lib/authcallout" && strings.HasSuffix(v.Source, "/"+providerKeys+"/"+s.Name)
					if v.Type == types.VolumeTypeBind && !v.ReadOnly && !kept && s.Name != "devidp" {
						t.Errorf("%s may write to %s", s.Name, v.Source)
					}
				}
				_, out := s.Networks["provider"]
				_, edge := s.Networks["edge"]
				switch image(s.Name) {
				case callout, policy:
					if out || edge {
						t.Errorf("%s has a way out", s.Name)
					}
				case tokencheck:
					if !out || edge {
						t.Errorf("%s: networks %v", s.Name, s.Networks)
					}
				}
			}
			want := m.services()
			slices.Sort(names)
			slices.Sort(want)
			if !slices.Equal(names, want) {
				t.Errorf("services %v, want %v", names, want)
			}
			if !p.Networks["bus"].Internal {
				t.Error("the bus has a way out")
			}
		})
	}
}
