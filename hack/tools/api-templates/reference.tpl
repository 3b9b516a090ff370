{{- define "gvList" -}}
# API reference

This file is generated from the Go types in `api/v1alpha1`. `kubectl explain taskgroup.spec` shows the same text. The rules of the
[CRD](../config/crd/bases/kubernetes.covalent.xyz_taskgroups.yaml) that concern several fields are not listed here.
{{ range . }}
{{ template "gvDetails" . }}
{{ end -}}
{{- end -}}

{{- define "gvDetails" -}}
{{- $gv := . -}}
## {{ .GroupVersionString }}

Objects:
{{ range .SortedKinds }}
- {{ $gv.TypeForKind . | markdownRenderTypeLink }}
{{- end }}
{{ range .SortedTypes }}
{{- template "type" . }}
{{- end }}
{{- end -}}

{{- define "type" -}}
{{- $type := . -}}
{{- if markdownShouldRenderType $type }}

### {{ $type.Name }}
{{- if and $type.IsAlias (not (hasPrefix "map" (markdownRenderType $type.UnderlyingType))) (not (contains "]" (markdownRenderType $type.UnderlyingType))) }}

_Type:_ {{ markdownRenderTypeLink $type.UnderlyingType }}
{{- end }}

{{ $type.Doc | replace "<" "&lt;" }}
{{- if $type.Validation }}
{{ range $type.Validation }}
- {{ . }}
{{- end }}
{{- end }}
{{- if $type.References }}

_Appears in:_
{{- range $i, $reference := $type.SortedReferences }}{{ if $i }},{{ end }} {{ markdownRenderTypeLink $reference }}{{ end }}
{{- end }}
{{- if $type.Members }}

| field | description | default | validation |
|---|---|---|---|
{{- if $type.GVK }}
| `apiVersion` _string_ | `{{ $type.GVK.Group }}/{{ $type.GVK.Version }}` | | |
| `kind` _string_ | `{{ $type.GVK.Kind }}` | | |
{{- end }}
{{- range $type.Members }}
| `{{ .Name }}` _{{ markdownRenderType .Type }}_ | {{ if eq .Name "metadata" }}the standard metadata of Kubernetes{{ else }}{{ .Doc | replace "<" "&lt;" | markdownRenderFieldDoc | replace "<br />" " " }}{{ end }} | {{ markdownRenderDefault .Default }} | {{ $separator := "" }}{{ range .Validation }}{{ if not (hasPrefix "Optional:" .) }}{{ $separator }}{{ if hasPrefix "Required:" . }}required{{ else }}{{ markdownRenderFieldDoc . }}{{ end }}{{ $separator = "<br />" }}{{ end }}{{ end }} |
{{- end }}
{{- end }}
{{- if $type.EnumValues }}

| value | description |
|---|---|
{{- range $type.EnumValues }}
| `{{ .Name }}` | {{ markdownRenderFieldDoc .Doc | replace "<br />" " " }} |
{{- end }}
{{- end }}
{{- end }}
{{- end -}}
