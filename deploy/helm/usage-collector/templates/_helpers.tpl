{{/* Names: room is left for "-backfill-" and a hash in 63 characters, and for a CronJob's 52. */}}
{{- define "usage-collector.fullname" -}}
{{- $name := ternary .Release.Name (printf "%s-%s" .Release.Name .Chart.Name) (contains .Chart.Name .Release.Name) -}}
{{- .Values.fullnameOverride | default $name | trunc 42 | trimSuffix "-" -}}
{{- end }}

{{/* These labels never change: selectors have them. */}}
{{- define "usage-collector.selectorLabels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{/* What every object has: its name (a suffix is the second argument), namespace and labels. */}}
{{- define "usage-collector.metadata" -}}
{{- $root := index . 0 -}}
name: {{ include "usage-collector.fullname" $root }}{{ with index . 1 }}-{{ . }}{{ end }}
namespace: {{ $root.Release.Namespace }}
labels:
  {{- include "usage-collector.selectorLabels" $root | nindent 2 }}
  app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
  app.kubernetes.io/managed-by: {{ $root.Release.Service }}
  helm.sh/chart: {{ $root.Chart.Name }}-{{ $root.Chart.Version }}
{{- end }}

{{- define "usage-collector.image" -}}
{{- $image := .Values.image -}}
{{- $hint := "A release has it in image-reference.txt." -}}
{{- $repository := required (printf "Set image.repository to the address of your image. %s" $hint) $image.repository -}}
{{- if not (or $image.digest $image.tag) -}}
{{- fail (printf "Set image.digest to the digest of your image, or image.tag if a tag is enough. %s" $hint) -}}
{{- end -}}
{{ $repository }}:{{ $image.tag | default .Chart.AppVersion }}{{ with $image.digest }}@{{ . }}{{ end }}
{{- end }}

{{- define "usage-collector.configMap" -}}
{{- .Values.existingConfigMap | default (include "usage-collector.fullname" .) -}}
{{- end }}

{{/* Variables of every pod: the ConfigMap's data. */}}
{{- define "usage-collector.env" -}}
{{- $env := dict -}}
{{- with .Values.postgresql.url -}}
{{- $_ := set $env "COLLECTOR_STATE__URL" . -}}
{{- $_ := set $env "COLLECTOR_STATE__PASSWORD_FILE" $.Values.postgresql.passwordFile -}}
{{- end -}}
{{- with .Values.proxy.url }}{{ $_ := set $env "HTTPS_PROXY" . }}{{ end -}}
{{- with .Values.pushgateway.url }}{{ $_ := set $env "COLLECTOR_PUSH__GATEWAY" . }}{{ end -}}
{{- merge (dict) .Values.env $env | toYaml -}}
{{- end }}

{{/* Values that are each right and don't fit together. */}}
{{- define "usage-collector.check" -}}
{{- with .Values }}
{{- if and .existingConfigMap .orgs }}
{{- fail "Both existingConfigMap and orgs are set. Put the orgs into the ConfigMap, or leave existingConfigMap out." }}
{{- end }}
{{- if not (or .existingConfigMap .orgs) }}
{{- fail "Set orgs to a list of orgs, or existingConfigMap to a ConfigMap with collector.yaml." }}
{{- end }}
{{- if and (eq .mode "sharded") (not .postgresql.url) }}
{{- fail "mode: sharded needs postgresql.url: all shards share one ledger on PostgreSQL." }}
{{- end }}
{{- if ne (empty .backfill.from) (empty .backfill.to) }}
{{- fail "Set both backfill.from and backfill.to, or neither." }}
{{- end }}
{{- if gt .backfill.from .backfill.to }}
{{- fail (printf "backfill.from (%s) is later than backfill.to (%s)." .backfill.from .backfill.to) }}
{{- end }}
{{- if regexMatch "://[^/@]*:[^/@]*@" .postgresql.url }}
{{- fail "postgresql.url contains a password. Put it into the Secret (postgresql.passwordFile), not into values." }}
{{- end }}
{{- range concat .orgs (.config.orgs | default list) }}
{{- if or .access_key .token }}
{{- fail (printf "The org %s contains a secret. Put it into the Secret and name its file: access_key_file or token_file." .name) }}
{{- end }}
{{- end }}
{{- if and .prometheusRule.enabled (eq .mode "cronjob") (not .pushgateway.url) }}
{{- fail "prometheusRule with mode: cronjob needs pushgateway.url: without it a CronJob has no metrics." }}
{{- end }}
{{- end }}
{{- end }}
