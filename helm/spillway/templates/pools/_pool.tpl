{{/* Every pool of a mode by its name, with what expertPoolDefaults says where it says nothing: a dict of root and mode. */}}
{{- define "spillway.pools" -}}
{{- $found := dict -}}
{{- range $name, $pool := .root.Values.expertPools -}}
{{- if and $pool (eq $pool.mode $.mode) -}}
{{- $_ := set $found $name (ternary (mustMergeOverwrite (deepCopy $.root.Values.expertPoolDefaults) $pool) $pool (eq $pool.mode "vllm")) -}}
{{- end -}}
{{- end -}}
{{- toYaml $found -}}
{{- end -}}

{{/* Of a pool: a dict of root and name. A StatefulSet's name leaves room for what Kubernetes adds to it. */}}
{{- define "spillway.poolName" -}}
{{- printf "%s-%s" (include "spillway.fullname" .root | trunc 31 | trimSuffix "-") .name -}}
{{- end -}}

{{- define "spillway.poolSelector" -}}
{{ include "spillway.selectorOf" (dict "root" .root "component" "expert-pool") }}
spillway/pool: {{ .name | quote }}
{{- end -}}

{{- define "spillway.poolLabels" -}}
{{ include "spillway.labelsOf" (dict "root" .root "component" "expert-pool") }}
spillway/pool: {{ .name | quote }}
{{- end -}}

{{- define "spillway.poolKeyVariable" -}}
{{- printf "SPILLWAY_POOL_%s_API_KEY" (. | upper | replace "-" "_") -}}
{{- end -}}

{{/* A pool as config.models has it: a dict of root, name and pool. What the chart knows is not to be said twice. */}}
{{- define "spillway.poolModel" -}}
{{- $pool := .pool -}}
{{- $model := dict "name" .name "backend" "openai_compatible" -}}
{{- if eq $pool.mode "external" -}}
{{- $_ := set $model "base_url" $pool.url -}}
{{- with $pool.model -}}{{- $_ := set $model "upstream_model" . -}}{{- end -}}
{{- else -}}
{{- $service := include "spillway.poolName" . -}}
{{- $_ := set $model "provider" .name -}}
{{- $_ := set $model "probe" true -}}
{{- $_ := set $model "context_tokens" (int $pool.contextTokens) -}}
{{- $_ := set $model "load" (dict "places" (int $pool.places)) -}}
{{- $_ := set $model "base_url" (printf "http://%s.%s.svc:8000/v1" $service .root.Release.Namespace) -}}
{{- if not $pool.autoscaling.enabled -}}
{{- /* By name, so that the least loaded engine takes the next call and one that fails is left alone. */ -}}
{{- $deployments := list -}}
{{- range $number := until (int $pool.replicas) -}}
{{- $deployments = append $deployments (dict "name" (printf "%d" $number) "base_url" (printf "http://%s-%d.%s-pods.%s.svc:8000/v1" $service $number $service $.root.Release.Namespace)) -}}
{{- end -}}
{{- if gt (len $deployments) 1 -}}{{- $_ := set $model "deployments" $deployments -}}{{- end -}}
{{- end -}}
{{- end -}}
{{- if ($pool.apiKey | default dict).existingSecret -}}
{{- $_ := set $model "api_key" (printf "${%s}" (include "spillway.poolKeyVariable" .name)) -}}
{{- end -}}
{{- toYaml (mustMergeOverwrite $model ($pool.gateway | default dict)) -}}
{{- end -}}

{{/* All models that the gateway is told of: those of config, then the pools. */}}
{{- define "spillway.models" -}}
{{- $models := .Values.config.models -}}
{{- range $mode := list "external" "vllm" -}}
{{- range $name, $pool := include "spillway.pools" (dict "root" $ "mode" $mode) | fromYaml -}}
{{- $models = append $models (include "spillway.poolModel" (dict "root" $ "name" $name "pool" $pool) | fromYaml) -}}
{{- end -}}
{{- end -}}
{{- toYaml $models -}}
{{- end -}}

{{/* The pools' keys as variables of the gateway. */}}
{{- define "spillway.poolKeys" -}}
{{- range $name, $pool := .Values.expertPools -}}
{{- if (($pool | default dict).apiKey | default dict).existingSecret }}
- name: {{ include "spillway.poolKeyVariable" $name }}
  valueFrom:
    secretKeyRef:
      name: {{ $pool.apiKey.existingSecret }}
      key: {{ $pool.apiKey.key | default "api-key" }}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* How a pool's GPUs share the model; tensor: 0 is what the others leave. */}}
{{- define "spillway.poolTensor" -}}
{{- $parallel := .parallel -}}
{{- $rest := div (int .gpus) (mul (int $parallel.pipeline) (int $parallel.data)) -}}
{{- default $rest (int $parallel.tensor) -}}
{{- end -}}

{{- define "spillway.poolGuards" -}}
{{- range $name, $pool := include "spillway.pools" (dict "root" . "mode" "vllm") | fromYaml -}}
{{- if hasKey $.Values.expertPools (printf "%s-pods" $name) -}}
{{- fail (printf "\n\nexpertPools.%s-pods: that is what the Service of the engines of %s is called. Name it otherwise.\n" $name $name) -}}
{{- end -}}
{{- $parallel := $pool.parallel -}}
{{- $used := mul (include "spillway.poolTensor" $pool | int) (int $parallel.pipeline) (int $parallel.data) -}}
{{- if ne (int $used) (int $pool.gpus) -}}
{{- fail (printf "\n\nexpertPools.%s: tensor × pipeline × data is %d, and gpus is %d: every GPU of a pod is to have its part.\n" $name (int $used) (int $pool.gpus)) -}}
{{- end -}}
{{- if and $pool.autoscaling.enabled (not $pool.autoscaling.prometheus) -}}
{{- fail (printf "\n\nexpertPools.%s.autoscaling.enabled needs autoscaling.prometheus: where KEDA asks how many requests the engines have, e.g. http://prometheus.monitoring.svc:9090.\n" $name) -}}
{{- end -}}
{{- if and $pool.autoscaling.enabled (gt (int $pool.autoscaling.minReplicas) (int $pool.autoscaling.maxReplicas)) -}}
{{- fail (printf "\n\nexpertPools.%s.autoscaling.minReplicas is above maxReplicas.\n" $name) -}}
{{- end -}}
{{- if not (or $pool.image.digest $pool.image.tag) -}}
{{- fail (printf "\n\nexpertPools.%s.image needs a tag or a digest: an engine is not exchanged by a restart.\n" $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
