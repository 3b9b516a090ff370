{{/* Labels that Helm charts have by convention. Selectors do not use them. */}}
{{- define "taskgroup.labels" -}}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{/* The reference of an image: (list . "manager"). */}}
{{- define "taskgroup.image" -}}
{{- $root := index . 0 }}
{{- $name := index . 1 }}
{{- $image := index $root.Values.images $name }}
{{- $image.repository | default (printf "%s/%s" $root.Values.images.registry $name) }}:{{ coalesce $image.tag $root.Values.images.tag $root.Chart.AppVersion }}
{{- with $image.digest }}@{{ . }}{{ end }}
{{- end }}

{{/* A container without privileges. */}}
{{- define "taskgroup.containerSecurityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{/* Where pods are scheduled, from the values of a component. */}}
{{- define "taskgroup.scheduling" -}}
{{- with .nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with get . "topologySpreadConstraints" }}
topologySpreadConstraints:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* The rules of the operator. The file is a copy of config/rbac/role.yaml, which is generated. */}}
{{- define "taskgroup.operatorRules" -}}
{{- (.Files.Get "files/role.yaml" | fromYaml).rules | toYaml }}
{{- end }}
