{{/* spillway.yaml: what the values say, and what only the chart can know. */}}
{{- define "spillway.config" -}}
{{- $config := deepCopy .Values.config -}}
{{- $server := dict "host" "0.0.0.0" "port" 8080 "drain_s" .Values.config.server.request_timeout_s -}}
{{- $_ := set $config "server" (merge $server .Values.config.server) -}}
{{- if (get $config "admin" | default dict).port -}}
{{- $_ := set $config "admin" (merge (dict "host" "0.0.0.0") (get $config "admin")) -}}
{{- end -}}
{{- $_ := set $config "models" (include "spillway.models" . | fromYamlArray) -}}
{{- if .Values.database.existingSecret -}}
{{- $_ := set $config "database" (dict "url" "${SPILLWAY_DATABASE_URL}" "migrate_at_start" false) -}}
{{- $_ := set $config "ledger" (merge (default dict (get $config "ledger")) (dict "spool" "/var/lib/spillway/spool")) -}}
{{- else -}}
{{- $_ := set $config "database" (dict "url" "sqlite+aiosqlite:////var/lib/spillway/spillway.db") -}}
{{- end -}}
{{- if .Values.redis.existingSecret -}}
{{- $_ := set $config "redis" (merge (dict "url" "${SPILLWAY_REDIS_URL}") (default dict (get $config "redis"))) -}}
{{- end -}}
{{- toYaml $config -}}
{{- end -}}
