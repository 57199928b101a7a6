{{/* spillway.yaml: what the values say, and what only the chart can know. */}}
{{- define "spillway.config" -}}
{{- $config := deepCopy .Values.config -}}
{{- $server := dict "host" "0.0.0.0" "port" 8080 "drain_s" .Values.config.server.request_timeout_s -}}
{{- $_ := set $config "server" (merge $server .Values.config.server) -}}
{{- $_ := set $config "database" (dict "url" "sqlite+aiosqlite:////var/lib/spillway/spillway.db") -}}
{{- toYaml $config -}}
{{- end -}}
