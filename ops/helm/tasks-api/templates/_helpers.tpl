{{- define "tasks-api.name" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 52 | trimSuffix "-" }}
{{- else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 52 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "tasks-api.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: api
{{- end }}

{{- define "tasks-api.labels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "tasks-api.image" -}}
image: {{ printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
{{- end }}

{{- /* The user `node` of the image. */}}
{{- define "tasks-api.podSecurity" -}}
automountServiceAccountToken: false
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 1000
  runAsGroup: 1000
  fsGroup: 1000
  seccompProfile:
    type: RuntimeDefault
{{- end }}

{{- define "tasks-api.containerSecurity" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
{{- end }}

{{- /* Variables that come from the Secret, by name: of the servers, and of the migration. */}}
{{- define "tasks-api.serverSecrets" -}}
{{- range $name, $key := .Values.secret.keys }}{{ if $key }}
{{ $name }}: {{ $key | quote }}
{{- end }}{{ end }}
{{- end }}

{{- define "tasks-api.migrationSecrets" -}}
{{- $keys := dict }}
{{- range $name, $key := .Values.secret.keys }}{{ if hasPrefix "DATABASE_" $name }}{{ $_ := set $keys $name $key }}{{ end }}{{ end }}
{{- range $name, $key := .Values.migration.secretKeys }}{{ $_ := set $keys $name $key }}{{ end }}
{{- range $name, $key := $keys }}{{ if $key }}
{{ $name }}: {{ $key | quote }}
{{- end }}{{ end }}
{{- end }}

{{- define "tasks-api.secretEnv" -}}
{{- range $name, $key := . }}
- name: {{ $name }}_FILE
  value: /run/secrets/tasks-api/{{ $key }}
{{- end }}
{{- end }}

{{- /* Only the keys that are named: the servers do not see the migration's. */}}
{{- define "tasks-api.secretVolume" -}}
- name: secret
  secret:
    secretName: {{ required "secret.name: expected the name of an existing Secret" .name }}
    defaultMode: 0440
    items:
      {{- range .keys | values | uniq | sortAlpha }}
      - key: {{ . }}
        path: {{ . }}
      {{- end }}
{{- end }}

{{- /* 10 s more than SHUTDOWN_DELAY_MS and SHUTDOWN_TIMEOUT_MS together, in s; their defaults are those of the server. */}}
{{- define "tasks-api.graceSeconds" -}}
{{- $config := dict "SHUTDOWN_DELAY_MS" 5000 "SHUTDOWN_TIMEOUT_MS" 20000 }}
{{- range $name, $value := .Values.config }}{{ $_ := set $config $name $value }}{{ end }}
{{- add (ceil (divf (add $config.SHUTDOWN_DELAY_MS $config.SHUTDOWN_TIMEOUT_MS) 1000)) 10 }}
{{- end }}

{{- /* YAML reads `off` as false, and Go writes 10000000 as 1e+07. Variables of OpenTelemetry are true or false. */}}
{{- define "tasks-api.value" -}}
{{- if and (kindIs "bool" .value) (not (hasPrefix "OTEL_" .name)) }}{{ ternary "on" "off" .value | quote }}
{{- else if kindIs "string" .value }}{{ .value | quote }}
{{- else }}{{ .value | toJson | quote }}{{ end }}
{{- end }}
