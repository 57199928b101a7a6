{{/* What a schema cannot say: values that are each right and do not go together. */}}
{{- define "spillway.guards" -}}
{{- if or (gt (int .Values.replicas) 1) .Values.autoscaling.enabled -}}
{{- $several := ternary "autoscaling.enabled" (printf "replicas: %d" (int .Values.replicas)) .Values.autoscaling.enabled -}}
{{- if not .Values.database.existingSecret -}}
{{- fail (printf "\n\n%s: several gateways cannot share one SQLite file. Name a Secret with a PostgreSQL URL in database.existingSecret, or keep to 1.\n" $several) -}}
{{- end -}}
{{- if not .Values.redis.existingSecret -}}
{{- fail (printf "\n\n%s: without Redis each gateway counts rate limits for itself, so a limit would hold once per replica. Name a Secret with a Redis URL in redis.existingSecret.\n" $several) -}}
{{- end -}}
{{- end -}}
{{- if and (include "spillway.byKeda" .) (not .Values.autoscaling.keda.prometheus) -}}
{{- fail "\n\nautoscaling.kind: keda needs autoscaling.keda.prometheus: where KEDA asks how many requests are under way, e.g. http://prometheus.monitoring.svc:9090.\n" -}}
{{- end -}}
{{- $artifacts := list -}}
{{- if .Values.artifacts.existingClaim -}}{{- $artifacts = append $artifacts "existingClaim" -}}{{- end -}}
{{- if .Values.artifacts.configMap.name -}}{{- $artifacts = append $artifacts "configMap" -}}{{- end -}}
{{- if .Values.artifacts.fetch.image -}}{{- $artifacts = append $artifacts "fetch" -}}{{- end -}}
{{- if gt (len $artifacts) 1 -}}
{{- fail (printf "\n\nartifacts.%s: scorers and strategies come from one place. Keep one of them.\n" (join ", artifacts." $artifacts)) -}}
{{- end -}}
{{- range $name, $job := .Values.jobs -}}
{{- if and $job.enabled (not $.Values.database.existingSecret) -}}
{{- fail (printf "\n\njobs.%s.enabled needs database.existingSecret: an SQLite file is its one gateway's. That one rolls up and drops what is old by itself; train with kubectl exec.\n" $name) -}}
{{- end -}}
{{- end -}}
{{- with .Values.jobs.retrain -}}
{{- if and .enabled (not $.Values.artifacts.existingClaim) -}}
{{- fail "\n\njobs.retrain.enabled needs artifacts.existingClaim: a claim that takes what was trained, and that gateways read (ReadWriteMany where they run on other nodes).\n" -}}
{{- end -}}
{{- if and .enabled (not .policy) -}}
{{- fail "\n\njobs.retrain.enabled needs jobs.retrain.policy: whose questions and answers are learnt from.\n" -}}
{{- end -}}
{{- end -}}
{{- if and .Values.autoscaling.enabled (gt (int .Values.autoscaling.minReplicas) (int .Values.autoscaling.maxReplicas)) -}}
{{- fail "\n\nautoscaling.minReplicas is above autoscaling.maxReplicas.\n" -}}
{{- end -}}
{{- if and .Values.database.existingSecret .Values.persistence.existingClaim -}}
{{- fail "\n\ndatabase.existingSecret and persistence.existingClaim name two places for the ledger: keep one.\n" -}}
{{- end -}}
{{- if and .Values.httpRoute.enabled (not .Values.httpRoute.parentRefs) -}}
{{- fail "\n\nhttpRoute.enabled needs httpRoute.parentRefs: the Gateway that the route is attached to.\n" -}}
{{- end -}}
{{- if and .Values.httpRoute.enabled (not .Values.config.auth.required) -}}
{{- fail "\n\nhttpRoute.enabled with config.auth.required: false would let anyone spend your provider keys: set config.auth.required to true.\n" -}}
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
{{- include "spillway.poolGuards" . -}}
{{- if and .Values.config.redis (not .Values.redis.existingSecret) (not (.Values.config.redis | default dict).url) -}}
{{- fail "\n\nconfig.redis has no url: give it one, or name a Secret with a Redis URL in redis.existingSecret.\n" -}}
{{- end -}}
{{- if eq (int (.Values.config.admin | default dict).port) (int .Values.service.port) -}}
{{- fail "\n\nconfig.admin.port and service.port are one number, and the Service has both: change one.\n" -}}
{{- end -}}
{{- $set := list "SPILLWAY_CONFIG" -}}
{{- range concat (include "spillway.stores" . | fromYamlArray) (include "spillway.poolKeys" . | fromYamlArray) .Values.extraEnv -}}
{{- if has .name $set -}}
{{- fail (printf "\n\nextraEnv: %s is given twice, or is the chart's to say.\n" .name) -}}
{{- end -}}
{{- $set = append $set .name -}}
{{- end -}}
{{- $models := list -}}
{{- range include "spillway.models" . | fromYamlArray -}}
{{- if has .name $models -}}
{{- fail (printf "\n\nTwo models are named %q, among config.models and expertPools.\n" .name) -}}
{{- end -}}
{{- $models = append $models .name -}}
{{- end -}}
{{- if not $models -}}
{{- fail "\n\nNo model: name one in config.models, or a pool in expertPools.\n" -}}
{{- end -}}
{{- range .Values.config.policies -}}
{{- if not (has .safe_model $models) -}}
{{- fail (printf "\n\nconfig.policies: the safe_model of %q is %q, and there are only %s, of config.models and expertPools. A list in your values replaces the chart's: give both.\n" .name .safe_model (join ", " $models)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
