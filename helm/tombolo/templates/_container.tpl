{{/*
The bridge's container. In a sidecar there is no readinessProbe: it would make the broker's pod as ready as the bridge, and a peer or a
Redis that is away would take the broker out of its Service. It is an ordinary container, no init container with restartPolicy
Always: that one is stopped after the broker, and could no longer settle what is in flight. It has no preStop hook either: SIGTERM comes
while the broker is still in its own, and is when the bridge begins to drain.
*/}}
{{- define "tombolo.container" -}}
name: tombolo
image: {{ printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
args: [run]
env:
  - {name: TOMBOLO_CONFIG, value: /etc/tombolo/tombolo.yaml}
  - {name: TOMBOLO_CLUSTER, value: {{ .Values.cluster | quote }}}
  - {name: TOMBOLO_LOG_LEVEL, value: {{ .Values.logLevel | quote }}}
  {{- with include "tombolo.heapMiB" . }}
  - {name: NODE_OPTIONS, value: "--max-old-space-size={{ . }}"}
  {{- end }}
  {{- with .Values.extraEnv }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
ports:
  {{- with include "tombolo.linkPort" . }}
  - {name: tombolo-link, containerPort: {{ . }}, protocol: TCP}
  {{- end }}
  - {name: tombolo-metrics, containerPort: {{ include "tombolo.metricsPort" . }}, protocol: TCP}
startupProbe:
  httpGet: {path: /healthz, port: tombolo-metrics}
  periodSeconds: 2
  timeoutSeconds: 5
  failureThreshold: 30
livenessProbe:
  httpGet: {path: /healthz, port: tombolo-metrics}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
{{- if eq .Values.mode "deployment" }}
readinessProbe:
  httpGet: {path: /readyz, port: tombolo-metrics}
  periodSeconds: 5
  timeoutSeconds: 5
{{- end }}
resources:
  {{- toYaml .Values.resources | nindent 2 }}
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  readOnlyRootFilesystem: true
  allowPrivilegeEscalation: false
  privileged: false
  capabilities: {drop: [ALL]}
  seccompProfile: {type: RuntimeDefault}
terminationMessagePolicy: FallbackToLogsOnError
volumeMounts:
  - {name: tombolo, mountPath: /etc/tombolo, readOnly: true}
  {{- with .Values.extraVolumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{/*
The container's volumes, a list. Topology and secrets are one volume, which Kubernetes replaces as a whole: a topology never meets the
secrets of another version. A sidecar's files are readable by all users of the one container that mounts them, since a group that both
the volume and the bridge belong to is the broker's pod's to give.
*/}}
{{- define "tombolo.volumes" -}}
- name: tombolo
  projected:
    defaultMode: {{ ternary 288 292 (eq .Values.mode "deployment") }} # {{ ternary "0440" "0444" (eq .Values.mode "deployment") }}
    sources:
      - configMap: {name: {{ include "tombolo.fullname" . }}}
      {{- if .Values.secrets.existingSecret }}
      - secret: {name: {{ .Values.secrets.existingSecret | quote }}}
      {{- else if .Values.secrets.values }}
      - secret: {name: {{ include "tombolo.fullname" . }}}
      {{- end }}
      {{- with .Values.tls.existingSecret }}
      - secret: {name: {{ . | quote }}}
      {{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}
