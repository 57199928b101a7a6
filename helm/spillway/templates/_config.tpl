{{/* spillway.yaml: what the values say, and the three things that only the chart can know. */}}
{{- define "spillway.config" -}}
{{- $config := deepCopy .Values.config -}}
{{- $_ := set $config "server" (merge (dict "host" "0.0.0.0" "port" 8080) (default dict $config.server)) -}}
{{- $_ := set $config "database" (dict "url" "sqlite+aiosqlite:////var/lib/spillway/spillway.db") -}}
{{- toYaml $config -}}
{{- end -}}
