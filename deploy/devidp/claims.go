package devidp

import (
	"encoding/base64"
	"slices"
	"strings"
)

// The scopes and claims below are Zitadel's.
const (
	scopeOpenID   = "openid"
	scopeRoles    = "urn:zitadel:iam:org:projects:roles"
	scopeMetadata = "urn:zitadel:iam:user:metadata"

	audiencePrefix = "urn:zitadel:iam:org:project:id:"
	audienceSuffix = ":aud"

	claimMetadata = "urn:zitadel:iam:user:metadata"
	claimDeviceID = "device_id"

	organizationDomain = "devidp.localhost"
)

// AudienceScope is the scope that puts a project into a token's audience.
func AudienceScope(project string) string { return audiencePrefix + project + audienceSuffix }

// RolesClaim is the claim that carries the roles of a user in a project: {role: {organization id: domain}}.
func RolesClaim(project string) string { return "urn:zitadel:iam:org:project:" + project + ":roles" }

// DeviceScopes are the scopes that a device asks for: the project's audience, the roles in it and the metadata.
func DeviceScopes(project string) []string {
	return []string{scopeOpenID, AudienceScope(project), scopeMetadata, scopeRoles}
}

// knownScopes drops what the provider knows nothing of, as Zitadel does.
func knownScopes(asked []string) []string {
	return slices.DeleteFunc(slices.Clone(asked), func(s string) bool {
		_, isAudience := projectOf(s)
		return !isAudience && s != scopeOpenID && s != scopeRoles && s != scopeMetadata
	})
}

func projectOf(scope string) (string, bool) {
	rest, ok := strings.CutPrefix(scope, audiencePrefix)
	if !ok {
		return "", false
	}
	project, ok := strings.CutSuffix(rest, audienceSuffix)
	return project, ok && project != ""
}

// audience is the projects that the scopes ask for, whether the user has any role there or not; the user itself where
// they ask for none.
func audience(user string, scopes []string) []string {
	var projects []string
	for _, s := range scopes {
		if p, ok := projectOf(s); ok && !slices.Contains(projects, p) {
			projects = append(projects, p)
		}
	}
	if projects == nil {
		return []string{user}
	}
	return projects
}

// grantClaims are the claims that both kinds of token carry beyond the registered ones: the roles of the user in
// project where asked for, and its metadata likewise.
func grantClaims(u storedUser, organization, project string, scopes []string) map[string]any {
	claims := map[string]any{}
	if slices.Contains(scopes, scopeRoles) && slices.Contains(scopes, AudienceScope(project)) && len(u.Roles) > 0 {
		roles := map[string]any{}
		for _, role := range u.Roles {
			roles[role] = map[string]any{organization: organizationDomain}
		}
		claims[RolesClaim(project)] = roles
	}
	if slices.Contains(scopes, scopeMetadata) && len(u.Metadata) > 0 {
		metadata := map[string]any{}
		for key, value := range u.Metadata {
			metadata[key] = base64.RawURLEncoding.EncodeToString([]byte(value))
		}
		claims[claimMetadata] = metadata
	}
	return claims
}

// accessClaims are grantClaims and what the action before an access token appends.
func accessClaims(u storedUser, organization, project string, scopes []string) map[string]any {
	claims := grantClaims(u, organization, project, scopes)
	claims[claimDeviceID] = u.DeviceID
	return claims
}
