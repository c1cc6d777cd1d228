{{/* What to give to whoever makes the broker's pods. NOTES print these, and a ConfigMap keeps them. */}}

{{/*
Of a pod template. The broker's container is named first: in a strategic merge a container that is new comes before those that are there,
and RabbitMQ's operator takes the first for the broker.
*/}}
{{- define "tombolo.podPatch" -}}
metadata:
  annotations:
    kubectl.kubernetes.io/default-container: {{ .Values.sidecar.brokerContainer }}
spec:
  containers:
    - name: {{ .Values.sidecar.brokerContainer }}
    - {{ include "tombolo.container" . | nindent 6 | trim }}
  volumes:
    {{- include "tombolo.volumes" . | nindent 4 }}
{{- end -}}

{{/* A patch of a RabbitmqCluster, of RabbitMQ's cluster operator. */}}
{{- define "tombolo.snippet.rabbitmqCluster" -}}
spec:
  override:
    statefulSet:
      spec:
        template:
          {{- include "tombolo.podPatch" . | nindent 10 }}
{{- end -}}

{{/* Values of Bitnami's chart, whose own NetworkPolicy, on by default, knows nothing of the bridge's ports. */}}
{{- define "tombolo.snippet.bitnami" -}}
podAnnotations:
  kubectl.kubernetes.io/default-container: {{ .Values.sidecar.brokerContainer }}
sidecars:
  - {{ include "tombolo.container" . | nindent 4 | trim }}
extraVolumes:
  {{- include "tombolo.volumes" . | nindent 2 }}
networkPolicy:
  extraIngress:
    - ports:
        {{- with include "tombolo.linkPort" . }}
        - {protocol: TCP, port: {{ . }}}
        {{- end }}
        - {protocol: TCP, port: {{ include "tombolo.metricsPort" . }}}
{{- end -}}

{{/* A patch of any StatefulSet (or Deployment) that runs a broker. */}}
{{- define "tombolo.snippet.statefulSet" -}}
spec:
  template:
    {{- include "tombolo.podPatch" . | nindent 4 }}
{{- end -}}
