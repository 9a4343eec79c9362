{{/*
The pod of every way to run it. A dict:
  root        .
  component   collect, reconcile, serve, backfill or check: the value of the label
  args        the arguments of the container
  sharded     one pod for each shard, on different nodes. Else all pods are on one node: the ledger is a file on one
              volume, and its locks work on one node only
  claim       the claim for /data. Without it, a StatefulSet makes one for each pod, and a check needs none
*/}}
{{- define "usage-collector.pod" -}}
{{- $values := .root.Values -}}
{{- $serve := eq .component "serve" -}}
metadata:
  labels:
    {{- include "usage-collector.selectorLabels" .root | nindent 4 }}
    app.kubernetes.io/component: {{ .component }}
    {{- with $values.podLabels }}
    {{- include "usage-collector.texts" . | trim | nindent 4 }}
    {{- end }}
  annotations:
    {{- $annotations := dict -}}
    {{- if and $serve (not $values.podMonitor.enabled) -}}
    {{- $port := $values.config.service.port | int | toString -}}
    {{- $annotations = dict "prometheus.io/scrape" "true" "prometheus.io/port" $port "prometheus.io/path" "/metrics" -}}
    {{- end -}}
    {{- /* Pods read variables only when they start. */ -}}
    {{- $checksum := dict "checksum/env" (include "usage-collector.env" .root | sha256sum) -}}
    {{- include "usage-collector.texts" (merge $checksum $values.podAnnotations $annotations) | trim | nindent 4 }}
spec:
  serviceAccountName: {{ include "usage-collector.serviceAccount" .root | quote }}
  automountServiceAccountToken: false
  enableServiceLinks: false
  {{- if not $serve }}
  restartPolicy: Never
  {{- end }}
  terminationGracePeriodSeconds: 40 # config.service.grace, 5 s for output, and some time to seal and close
  {{- with $values.podSecurityContext }}
  securityContext:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- if .sharded }}
  topologySpreadConstraints:
    - maxSkew: 1
      topologyKey: kubernetes.io/hostname
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels:
          app.kubernetes.io/instance: {{ .root.Release.Name | quote }}
          app.kubernetes.io/component: {{ .component }}
  {{- end }}
  {{- with include "usage-collector.affinity" . | fromYaml }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $values.pod }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
  containers:
    - name: collector
      image: {{ include "usage-collector.image" .root | quote }}
      imagePullPolicy: {{ $values.image.pullPolicy }}
      args: {{ toJson .args }}
      envFrom:
        - configMapRef: {name: {{ include "usage-collector.named" (list .root "env") }}}
        {{- with $values.envFrom }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      {{- if or .sharded $values.secretEnv }}
      env:
        {{- if .sharded }} # a pod knows its own shard: from its host name, or from JOB_COMPLETION_INDEX
        - {name: COLLECTOR_SHARDS, value: {{ $values.sharded.shards | int | quote }}}
        {{- end }}
        {{- range $name, $entry := $values.secretEnv }}
        - name: {{ $name | quote }}
          valueFrom: {secretKeyRef: {name: {{ $entry.name | quote }}, key: {{ $entry.key | quote }}}}
        {{- end }}
      {{- end }}
      {{- if $serve }}
      ports:
        - {name: http, containerPort: {{ $values.config.service.port | int }}}
      startupProbe: # migrations of a large ledger may take a while
        httpGet: {path: /healthz, port: http}
        periodSeconds: 2
        failureThreshold: 60
      livenessProbe:
        httpGet: {path: /healthz, port: http}
        periodSeconds: 10
        timeoutSeconds: 5
        failureThreshold: 6
      readinessProbe:
        httpGet: {path: /readyz, port: http}
        periodSeconds: 10
        timeoutSeconds: 5
      {{- end }}
      resources:
        {{- toYaml $values.resources | nindent 8 }}
      securityContext:
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        capabilities: {drop: [ALL]}
      volumeMounts:
        - {name: config, mountPath: /etc/collector, readOnly: true}
        - {name: credentials, mountPath: /run/secrets/usage-collector, readOnly: true}
        - {name: data, mountPath: /data}
        - {name: tmp, mountPath: /tmp}
        {{- with $values.extraVolumeMounts }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
  volumes:
    - name: config
      configMap: {name: {{ include "usage-collector.configMap" .root | quote }}}
    - name: credentials
      secret: {secretName: {{ $values.existingSecret | quote }}, defaultMode: 0440}
    {{- with .claim }}
    - name: data
      persistentVolumeClaim: {claimName: {{ . | quote }}}
    {{- else }}
    {{- if not $serve }}
    - name: data
      emptyDir: {sizeLimit: 64Mi}
    {{- end }}
    {{- end }}
    - name: tmp
      emptyDir: {sizeLimit: 64Mi}
    {{- with $values.extraVolumes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end }}

{{/* The user's affinity. Unless sharded, with ours: all pods are on one node. As YAML, of the pod's dict. */}}
{{- define "usage-collector.affinity" -}}
{{- $affinity := deepCopy .root.Values.affinity -}}
{{- if not .sharded -}}
{{- $labels := include "usage-collector.selectorLabels" .root | fromYaml -}}
{{- $ours := dict "labelSelector" (dict "matchLabels" $labels) "topologyKey" "kubernetes.io/hostname" -}}
{{- $pods := $affinity.podAffinity | default dict -}}
{{- $required := $pods.requiredDuringSchedulingIgnoredDuringExecution | default list -}}
{{- $_ := set $pods "requiredDuringSchedulingIgnoredDuringExecution" (append $required $ours) -}}
{{- $_ := set $affinity "podAffinity" $pods -}}
{{- end -}}
{{- toYaml $affinity -}}
{{- end }}

{{/* An eviction or a drained node, with any exit code (143, 137), doesn't count as a try. */}}
{{- define "usage-collector.ignoreDisruption" -}}
- action: Ignore
  onPodConditions:
    - {type: DisruptionTarget, status: "True"}
{{- end }}

{{/* The claim that cronjob, service and backfill share. */}}
{{- define "usage-collector.claim" -}}
{{- .Values.persistence.existingClaim | default (printf "%s-data" (include "usage-collector.fullname" .)) -}}
{{- end }}

{{/* The spec of a claim: size and class of .Values.persistence. A dict: values, mode, class. */}}
{{- define "usage-collector.claimSpec" -}}
accessModes: [{{ .mode }}]
{{- with .class }}
storageClassName: {{ ternary "" . (eq . "-") | quote }}
{{- end }}
resources: {requests: {storage: {{ .size | quote }}}}
{{- end }}
