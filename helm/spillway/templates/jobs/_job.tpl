{{/* A CronJob of the gateway's own image: a dict of root, name, job (its values), command, args, env, the artifacts' claim, and whether it
calls models. */}}
{{- define "spillway.cronJob" -}}
{{- $root := .root -}}
{{- $labels := dict "root" $root "component" .name -}}
apiVersion: batch/v1
kind: CronJob
metadata:
  name: {{ include "spillway.fullname" $root | trunc 40 | trimSuffix "-" }}-{{ .name }}
  namespace: {{ $root.Release.Namespace }}
  labels:
    {{- include "spillway.labelsOf" $labels | nindent 4 }}
spec:
  schedule: {{ .job.schedule | quote }}
  timeZone: Etc/UTC
  concurrencyPolicy: Forbid
  startingDeadlineSeconds: 600
  successfulJobsHistoryLimit: 2
  failedJobsHistoryLimit: 3
  jobTemplate:
    metadata:
      labels:
        {{- include "spillway.labelsOf" $labels | nindent 8 }}
    spec:
      backoffLimit: {{ ternary 0 1 (not (empty .calls)) }} # what spends is not done twice
      activeDeadlineSeconds: {{ .job.deadlineSeconds }}
      template:
        metadata:
          labels:
            {{- include "spillway.selectorOf" $labels | nindent 12 }}
        spec:
          restartPolicy: Never
          automountServiceAccountToken: false
          enableServiceLinks: false
          {{- with $root.Values.image.pullSecrets }}
          imagePullSecrets:
            {{- range . }}
            - name: {{ . }}
            {{- end }}
          {{- end }}
          securityContext:
            runAsNonRoot: true
            runAsUser: 10001
            runAsGroup: 10001
            fsGroup: 10001
            fsGroupChangePolicy: OnRootMismatch
            seccompProfile:
              type: RuntimeDefault
          containers:
            - name: {{ .name }}
              image: {{ include "spillway.image" $root | quote }}
              imagePullPolicy: {{ $root.Values.image.pullPolicy }}
              {{- with .command }}
              command:
                {{- toYaml . | nindent 16 }}
              {{- end }}
              {{- with .args }}
              args:
                {{- toYaml . | nindent 16 }}
              {{- end }}
              env:
                - name: SPILLWAY_CONFIG
                  value: /etc/spillway/spillway.yaml
                {{- include "spillway.stores" $root | nindent 16 }}
                {{- with .env }}
                {{- toYaml . | nindent 16 }}
                {{- end }}
              {{- if .calls }}
                {{- with include "spillway.poolKeys" $root | trim }}
                {{- . | nindent 16 }}
                {{- end }}
                {{- with $root.Values.extraEnv }}
                {{- toYaml . | nindent 16 }}
                {{- end }}
              {{- end }}
              {{- if and .calls $root.Values.providerKeys.existingSecret }}
              envFrom:
                - secretRef:
                    name: {{ $root.Values.providerKeys.existingSecret }}
              {{- end }}
              securityContext:
                allowPrivilegeEscalation: false
                readOnlyRootFilesystem: true
                capabilities:
                  drop: ["ALL"]
              resources:
                {{- toYaml .job.resources | nindent 16 }}
              volumeMounts:
                - name: config
                  mountPath: /etc/spillway
                  readOnly: true
                - name: tmp
                  mountPath: /tmp
                {{- with .claim }}
                - name: artifacts
                  mountPath: /artifacts
                {{- end }}
          volumes:
            - name: config
              configMap:
                {{- include "spillway.configVolume" $root | nindent 16 }}
            - name: tmp
              emptyDir:
                sizeLimit: {{ .job.tmp | default "64Mi" }}
            {{- with .claim }}
            - name: artifacts
              persistentVolumeClaim:
                claimName: {{ . }}
            {{- end }}
          {{- with $root.Values.nodeSelector }}
          nodeSelector:
            {{- toYaml . | nindent 12 }}
          {{- end }}
          {{- with $root.Values.tolerations }}
          tolerations:
            {{- toYaml . | nindent 12 }}
          {{- end }}
{{- end -}}

{{/* Arguments as a shell takes them. */}}
{{- define "spillway.shellArgs" -}}
{{- range . }} {{ . | replace "'" "'\\''" | squote }}{{ end -}}
{{- end -}}
