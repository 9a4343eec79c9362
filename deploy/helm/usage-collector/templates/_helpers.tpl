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
{{- with .Values.otlp.url }}{{ $_ := set $env "COLLECTOR_PUSH__OTLP__ENDPOINT" . }}{{ end -}}
{{- merge (dict) .Values.env $env | toYaml -}}
{{- end }}

{{/* Secrets in values: Helm keeps all values in the release, and a ConfigMap is readable for more people than a Secret. */}}
{{- define "usage-collector.checkSecrets" -}}
{{- $env := .Values.env }}
{{- range list .Values.postgresql.url (.Values.config.state | default dict).url $env.COLLECTOR_STATE__URL }}
{{- if regexMatch "://[^/@?]*:.*@|[?&]password=" (. | default "") }}
{{- fail "The URL of the ledger contains a password. Put it into the Secret: postgresql.passwordFile is its file." }}
{{- end }}
{{- end }}
{{- range concat .Values.orgs (.Values.config.orgs | default list) }}
{{- if or .access_key .token (get $env (.access_key_env | default "")) (get $env (.token_env | default "")) }}
{{- fail (printf "The org %s has its secret in the values. Put it into the Secret: access_key_file or token_file is its file." .name) }}
{{- end }}
{{- end }}
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
{{- if and (eq .mode "sharded") .persistence.existingClaim }}
{{- fail "persistence.existingClaim is for one pod. mode: sharded makes a claim for each: leave existingClaim out." }}
{{- end }}
{{- range $name := list "postgresql" "proxy" "pushgateway" "otlp" }}
{{- with index $.Values $name }}
{{- if and .url (not .to) }}
{{- fail (printf "Set %s.to: where it is. The network policy lets pods connect only to that." $name) }}
{{- end }}
{{- end }}
{{- end }}
{{- if and .reconcile.enabled (ne .mode "cronjob") }}
{{- fail "reconcile.enabled is for mode: cronjob. `serve` reconciles by itself: config.schedule.reconcile." }}
{{- end }}
{{- if and .podMonitor.enabled (eq .mode "cronjob") }}
{{- fail "podMonitor is for the modes service and sharded. A CronJob pushes its metrics: set pushgateway.url." }}
{{- end }}
{{- if and .prometheusRule.enabled (eq .mode "cronjob") (not .pushgateway.url) }}
{{- fail "prometheusRule with mode: cronjob needs pushgateway.url: without it a CronJob has no metrics." }}
{{- end }}
{{- end }}
{{- end }}
