{{/* What a schema cannot say: values that are each right and do not go together. */}}
{{- define "spillway.guards" -}}
{{- if gt (int .Values.replicas) 1 -}}
{{- fail (printf "\n\nreplicas: %d cannot share one SQLite file. The ledger and the virtual keys of this release live in SQLite on one volume: set replicas to 1.\n" (int .Values.replicas)) -}}
{{- end -}}
{{- if and .Values.ingress.enabled (not .Values.ingress.host) -}}
{{- fail "\n\ningress.enabled needs ingress.host: without one the gateway would answer for every name that reaches the controller.\n" -}}
{{- end -}}
{{- if and (not .Values.config.auth.required) (not .Values.config.auth.allow_anonymous_network) -}}
{{- fail "\n\nconfig.auth.required: false lets every pod that reaches the Service spend your provider keys. If that is meant, say so with config.auth.allow_anonymous_network: true.\n" -}}
{{- end -}}
{{- if and .Values.ingress.enabled (not .Values.config.auth.required) -}}
{{- fail "\n\ningress.enabled with config.auth.required: false would let anyone spend your provider keys: set config.auth.required to true.\n" -}}
{{- end -}}
{{- $models := list -}}
{{- range .Values.config.models -}}{{- $models = append $models .name -}}{{- end -}}
{{- range .Values.config.policies -}}
{{- if not (has .safe_model $models) -}}
{{- fail (printf "\n\nconfig.policies: the safe_model of %q is %q, and config.models names only %s. A list in your values replaces the chart's: give both.\n" .name .safe_model (join ", " $models)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
