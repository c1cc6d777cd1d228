{{/* Bytes of a quantity of Kubernetes (768Mi) or of the topology (256MiB); 0 for what is neither. */}}
{{- define "tombolo.bytes" -}}
{{- $units := dict "k" 1e3 "K" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "Ki" 1024.0 "Mi" 1048576.0 "Gi" 1073741824.0 "Ti" 1099511627776.0 -}}
{{- $text := ternary (. | toString) (printf "%.0f" (float64 .)) (kindIs "string" .) -}}
{{- if regexMatch "^[0-9.]+([kKMGT]i?)?B?$" $text -}}
{{- mulf (regexFind "^[0-9.]+" $text) (get $units (regexFind "[kKMGT]i?" $text) | default 1.0) | floor | int64 -}}
{{- else -}}
0
{{- end -}}
{{- end -}}

{{/*
MiB of V8's old space: a third of the limit; empty without a limit. Beside it there must be room for what is in flight, which V8 keeps
outside of its heap, and for 160 MiB: the process itself, the young generation, and the buffers of sockets.
*/}}
{{- define "tombolo.heapMiB" -}}
{{- $limit := dig "limits" "memory" "" (.Values.resources | default dict) -}}
{{- if $limit -}}
{{- $bytes := include "tombolo.bytes" $limit | int64 -}}
{{- $inFlight := (include "tombolo.bridge" . | fromYaml).inFlightBytes | default "256MiB" -}}
{{- if lt (sub $bytes (div $bytes 3)) (add (include "tombolo.bytes" $inFlight | int64) 167772160) -}}
{{- fail (printf "resources.limits.memory: %v is too little for the heap, which gets a third, 160Mi for the process, and topology.clusters.%s.bridge.inFlightBytes (%v); raise the one or lower the other" $limit .Values.cluster $inFlight) -}}
{{- end -}}
{{- div $bytes 3145728 -}}
{{- end -}}
{{- end -}}
