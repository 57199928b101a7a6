{{/* What a schema cannot say: values that are each right and do not go together. */}}
{{- define "spillway.guards" -}}
{{- if gt (int .Values.replicas) 1 -}}
{{- fail (printf "\n\nreplicas: %d cannot share one SQLite file. The ledger and the virtual keys of this release live in SQLite on one volume: set replicas to 1.\n" (int .Values.replicas)) -}}
{{- end -}}
{{- if and .Values.ingress.enabled (not .Values.ingress.host) -}}
{{- fail "\n\ningress.enabled needs ingress.host: without one the gateway would answer for every name that reaches the controller.\n" -}}
{{- end -}}
{{- if and .Values.ingress.enabled (not .Values.config.auth.required) -}}
{{- fail "\n\ningress.enabled with config.auth.required: false would let anyone spend your provider keys: set config.auth.required to true.\n" -}}
{{- end -}}
{{- if and .Values.existingConfig.name (or .Values.config.models .Values.config.policies) -}}
{{- fail "\n\nexistingConfig.name and config.models/config.policies are both set: the ConfigMap would win in silence. Keep one.\n" -}}
{{- end -}}
{{- end -}}
