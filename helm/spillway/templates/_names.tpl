{{- define "spillway.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "spillway.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- $name := include "spillway.name" . -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Of a workload: a dict of root, the chart's context, and component. */}}
{{- define "spillway.selectorOf" -}}
app.kubernetes.io/name: {{ include "spillway.name" .root | quote }}
app.kubernetes.io/instance: {{ .root.Release.Name | quote }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{- define "spillway.labelsOf" -}}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "spillway.selectorOf" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
{{- end -}}

{{- define "spillway.selector" -}}
{{- include "spillway.selectorOf" (dict "root" . "component" "gateway") -}}
{{- end -}}

{{- define "spillway.labels" -}}
{{- include "spillway.labelsOf" (dict "root" . "component" "gateway") -}}
{{- end -}}

{{- define "spillway.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{- define "spillway.configName" -}}
{{- default (printf "%s-config" (include "spillway.fullname" .)) .Values.existingConfig.name -}}
{{- end -}}

{{- define "spillway.dataClaim" -}}
{{- default (printf "%s-data" (include "spillway.fullname" .)) .Values.persistence.existingClaim -}}
{{- end -}}

{{/* Where PostgreSQL and Redis are, as variables that spillway.yaml names. */}}
{{- define "spillway.stores" -}}
{{- with .Values.database.existingSecret -}}
- name: SPILLWAY_DATABASE_URL
  valueFrom:
    secretKeyRef:
      name: {{ . }}
      key: {{ $.Values.database.key }}
{{ end -}}
{{- with .Values.redis.existingSecret -}}
- name: SPILLWAY_REDIS_URL
  valueFrom:
    secretKeyRef:
      name: {{ . }}
      key: {{ $.Values.redis.key }}
{{ end -}}
{{- end -}}

{{- define "spillway.byKeda" -}}
{{- if and .Values.autoscaling.enabled (eq .Values.autoscaling.kind "keda") -}}yes{{- end -}}
{{- end -}}

{{- define "spillway.scalingBehavior" -}}
behavior:
  scaleDown: # streams are long: a pod is not taken away because one minute was quiet
    stabilizationWindowSeconds: 600
    policies:
      - type: Pods
        value: 1
        periodSeconds: 120
{{- end -}}

{{/* The ConfigMap of spillway.yaml, as a volume has it. */}}
{{- define "spillway.configVolume" -}}
name: {{ include "spillway.configName" . }}
items:
  - key: {{ if .Values.existingConfig.name }}{{ .Values.existingConfig.key }}{{ else }}spillway.yaml{{ end }}
    path: spillway.yaml
{{- end -}}

{{/* Where scorers and strategies come from: claim, configMap, fetch; empty where there are none. */}}
{{- define "spillway.artifacts" -}}
{{- with .Values.artifacts -}}
{{- if .existingClaim -}}claim{{- else if .configMap.name -}}configMap{{- else if .fetch.image -}}fetch{{- end -}}
{{- end -}}
{{- end -}}

{{- define "spillway.manyReplicas" -}}
{{- if or .Values.autoscaling.enabled (gt (int .Values.replicas) 1) -}}yes{{- end -}}
{{- end -}}
