{{- define "usage-collector.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 42 | trimSuffix "-" -}}
{{- end }}

{{/* Names: room is left for "-backfill-" and a hash in 63 characters, and for a CronJob's 52. */}}
{{- define "usage-collector.fullname" -}}
{{- $own := include "usage-collector.name" . -}}
{{- $name := ternary .Release.Name (printf "%s-%s" .Release.Name $own) (contains $own .Release.Name) -}}
{{- .Values.fullnameOverride | default $name | trunc 42 | trimSuffix "-" -}}
{{- end }}

{{/* A name with a suffix, quoted: without quotes, 0123 is a number and `no` a switch. A list: root, suffix. */}}
{{- define "usage-collector.named" -}}
{{- printf "%s%s" (include "usage-collector.fullname" (index . 0)) (ternary (printf "-%s" (index . 1)) "" (ne (index . 1) "")) | quote -}}
{{- end }}

{{/* Text by key, a line for each, both quoted. A dict that isn't empty. */}}
{{- define "usage-collector.texts" -}}
{{- range $key, $text := . }}
{{ $key | quote }}: {{ $text | quote }}
{{- end }}
{{- end }}

{{/* These labels never change: selectors have them. */}}
{{- define "usage-collector.selectorLabels" -}}
app.kubernetes.io/name: {{ include "usage-collector.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{/* The labels of every object. A list: root, the user's labels. These win. */}}
{{- define "usage-collector.labels" -}}
{{- $root := index . 0 -}}
{{- $ours := include "usage-collector.selectorLabels" $root | fromYaml -}}
{{- $_ := set $ours "app.kubernetes.io/version" $root.Chart.AppVersion -}}
{{- $_ := set $ours "app.kubernetes.io/managed-by" $root.Release.Service -}}
{{- $_ := set $ours "helm.sh/chart" (printf "%s-%s" $root.Chart.Name $root.Chart.Version) -}}
{{- include "usage-collector.texts" (merge (dict) (index . 1) $ours) | trim -}}
{{- end }}

{{/* What every object has. A list: root, what follows the name of the release's objects, the user's labels if there are any. */}}
{{- define "usage-collector.metadata" -}}
{{- $root := index . 0 -}}
name: {{ include "usage-collector.named" (list $root (index . 1)) }}
namespace: {{ $root.Release.Namespace | quote }}
labels:
  {{- include "usage-collector.labels" (list $root (slice . 2 | first | default dict)) | nindent 2 }}
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

{{- define "usage-collector.serviceAccount" -}}
{{- $own := ternary (include "usage-collector.fullname" .) "default" .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default $own -}}
{{- end }}

{{/* Variables of every pod: the ConfigMap's data, as JSON. What `env` says wins. */}}
{{- define "usage-collector.env" -}}
{{- $env := dict -}}
{{- with .Values.postgresql }}
{{- if .url }}
{{- $_ := set $env "COLLECTOR_STATE__URL" .url -}}
{{- with .passwordFile }}{{ $_ := set $env "COLLECTOR_STATE__PASSWORD_FILE" . }}{{ end -}}
{{- end }}
{{- end }}
{{- with .Values.table }}
{{- if .url }}
{{- $_ := set $env "COLLECTOR_OUTPUT__PATH" .url -}}
{{- with .passwordFile }}{{ $_ := set $env "COLLECTOR_OUTPUT__PASSWORD_FILE" . }}{{ end -}}
{{- end }}
{{- end }}
{{- with .Values.proxy.url }}{{ $_ := set $env "HTTPS_PROXY" . }}{{ end -}}
{{- with .Values.pushgateway.url }}{{ $_ := set $env "COLLECTOR_PUSH__GATEWAY" . }}{{ end -}}
{{- with .Values.otlp.url }}{{ $_ := set $env "COLLECTOR_PUSH__OTLP__ENDPOINT" . }}{{ end -}}
{{- merge (dict) .Values.env $env | toJson -}}
{{- end }}
