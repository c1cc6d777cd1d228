{{/*
What the chart reads in the topology: the `bridge` of its own cluster. Whether the file is right is judged by values.schema.json and by
the bridge; here only what Kubernetes would otherwise get wrong in silence.
*/}}

{{/* clusters.CLUSTER.bridge, as YAML; {} where there is none. */}}
{{- define "tombolo.bridge" -}}
{{- $clusters := get (.Values.topology | default dict) "clusters" | default dict -}}
{{- get (get $clusters .Values.cluster | default dict) "bridge" | default dict | toYaml -}}
{{- end -}}

{{/* Refuses values that do not fit together. */}}
{{- define "tombolo.judge" -}}
{{- $clusters := get (.Values.topology | default dict) "clusters" | default dict -}}
{{- $at := printf "topology.clusters.%s" .Values.cluster -}}
{{- $bridge := include "tombolo.bridge" . | fromYaml -}}
{{- $metrics := dig "metrics" "listen" "" $bridge -}}
{{- if not .Values.topology -}}
{{- fail "topology: give the network's topology, e.g. by `--values network.yaml` with the file under the key `topology`; README.md has an example" -}}
{{- else if not .Values.cluster -}}
{{- fail (printf "cluster: say whose bridge this is; topology.clusters has %s" (keys $clusters | sortAlpha | join ", ")) -}}
{{- else if not (hasKey $clusters .Values.cluster) -}}
{{- fail (printf "cluster: topology.clusters has no %q; it has %s" .Values.cluster (keys $clusters | sortAlpha | join ", ")) -}}
{{- else if not (hasKey (get $clusters .Values.cluster) "broker") -}}
{{- fail (printf "%s.broker: say where the cluster's broker is" $at) -}}
{{- else if or (not (regexMatch ":[0-9]+$" $metrics)) (regexMatch "^(localhost|127[.]|\\[::1\\])" $metrics) -}}
{{- fail (printf "%s.bridge.metrics.listen: probes and Prometheus reach the pod here; set it, e.g. to 0.0.0.0:7462 (it is %q)" $at $metrics) -}}
{{- else if and $bridge.listen (or (not (regexMatch ":[0-9]+$" $bridge.listen)) (regexMatch "^(localhost|127[.]|\\[::1\\])" $bridge.listen)) -}}
{{- fail (printf "%s.bridge.listen: no peer reaches the pod at %q; use 0.0.0.0:7460, or leave it out if this cluster only dials" $at $bridge.listen) -}}
{{- else if and (eq .Values.mode "deployment") (gt (int .Values.deployment.replicas) 1) (eq (dig "election" "type" "" $bridge) "none") -}}
{{- fail (printf "%s.bridge.election: type none promises that there is one bridge, and deployment.replicas is %d" $at (int .Values.deployment.replicas)) -}}
{{- else if and .Values.secrets.existingSecret .Values.secrets.values -}}
{{- fail "secrets: either existingSecret or values, not both" -}}
{{- end -}}
{{- end -}}

{{/* The port of an address; empty where there is none. */}}
{{- define "tombolo.port" -}}
{{- regexFind "[0-9]+$" (. | default "") -}}
{{- end -}}

{{- define "tombolo.linkPort" -}}
{{- include "tombolo.port" (include "tombolo.bridge" . | fromYaml).listen -}}
{{- end -}}

{{- define "tombolo.metricsPort" -}}
{{- include "tombolo.port" (dig "metrics" "listen" "" (include "tombolo.bridge" . | fromYaml)) -}}
{{- end -}}

{{/* Seconds until a bridge that is told to stop has been killed: it drains, and lets go within five seconds more. */}}
{{- define "tombolo.graceSeconds" -}}
{{- $units := dict "ms" 0.001 "s" 1.0 "m" 60.0 "h" 3600.0 "d" 86400.0 -}}
{{- $total := 0.0 -}}
{{- range regexFindAll "[0-9.]+(ms|s|m|h|d)" ((include "tombolo.bridge" . | fromYaml).drainTimeout | default "20s") -1 -}}
{{- $total = addf $total (mulf (regexFind "[0-9.]+" .) (get $units (regexFind "[a-z]+" .))) -}}
{{- end -}}
{{- add (ceil $total) 10 -}}
{{- end -}}
