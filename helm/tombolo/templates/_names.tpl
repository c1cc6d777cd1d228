{{- define "tombolo.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* What the objects of this release are called; short enough for the suffixes that some have. */}}
{{- define "tombolo.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- $name := include "tombolo.name" . -}}
{{- ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* Labels of the pods of deployment mode, which never change. */}}
{{- define "tombolo.selectorLabels" -}}
app.kubernetes.io/name: {{ include "tombolo.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "tombolo.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "tombolo.selectorLabels" . }}
app.kubernetes.io/version: {{ .Values.image.tag | default .Chart.AppVersion | trunc 63 | quote }}
app.kubernetes.io/component: bridge
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{/* Labels of the pods in which the bridge runs: our own, or the broker's. */}}
{{- define "tombolo.podSelector" -}}
{{- if eq .Values.mode "deployment" -}}
{{- include "tombolo.selectorLabels" . -}}
{{- else if .Values.sidecar.podSelector -}}
{{- toYaml .Values.sidecar.podSelector -}}
{{- else -}}
{{- fail "sidecar.podSelector: Service, PodMonitor and NetworkPolicy select the broker's pods by their labels; give some, e.g. {app.kubernetes.io/name: NAME} for the pods of a RabbitmqCluster, or switch off service.enabled" -}}
{{- end -}}
{{- end -}}
