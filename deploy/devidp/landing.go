package devidp

import (
	"html/template"
	"net/http"
)

var landing = template.Must(template.New("landing").Parse(`<!doctype html>
<meta charset="utf-8">
<title>Development identity provider</title>
<style>body{font:16px/1.5 sans-serif;max-width:44em;margin:3em auto;padding:0 1em}
.warn{background:#b00;color:#fff;padding:.6em 1em;font-weight:bold}code{background:#eee;padding:.1em .3em}</style>
<p class="warn">For development and demonstrations. Never for production.</p>
<h1>OpenID provider</h1>
<p>Issuer <code>{{.Issuer}}</code>, project <code>{{.Project}}</code>, <a href="{{.Discovery}}">discovery</a>.</p>
<h2>Machine users</h2>
<ul>{{range .Users}}<li><code>{{.Name}}</code> {{if .Active}}active{{else}}deactivated{{end}}, roles {{range .Roles}}<code>{{.}}</code> {{else}}none{{end}}</li>
{{end}}</ul>
<p>A token to paste: <code>devidp token -data DIR -user NAME</code></p>
`))

func (p *Provider) landingPage(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
	err := landing.Execute(w, map[string]any{
		"Issuer":    p.config.Issuer,
		"Project":   p.config.Project,
		"Discovery": p.DiscoveryURL(),
		"Users":     p.store.get().Users,
	})
	if err != nil {
		p.config.Log.Warn("landing page", "error", err)
	}
}
