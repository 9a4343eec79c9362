{{/*
The servers that pods connect to, beside the API: what is known of their URLs, and so which ports the network policy opens.
Each URL counts as the collector reads it: a variable from a Secret, then one of `env`, then a value such as
postgresql.url, then the config.
*/}}

{{/*
The servers that are in use, as JSON: for each its `url` (empty if it is in a Secret), `from` (the value that has it),
`to` and `ports`.
*/}}
{{- define "usage-collector.servers" -}}
{{- $values := .Values -}}
{{- $config := ternary dict $values.config (ne $values.existingConfigMap "") -}}
{{- $state := ($config.state | default dict).url -}}
{{- $output := ($config.output | default dict).path -}}
{{- $push := $config.push | default dict -}}
{{- $known := list
  (dict "name" "postgresql" "variables" (list "COLLECTOR_STATE__URL") "config" "state.url" "url" $state)
  (dict "name" "table" "variables" (list "COLLECTOR_OUTPUT__PATH") "config" "output.path" "url" $output)
  (dict "name" "proxy" "variables" (list "HTTPS_PROXY" "https_proxy" "ALL_PROXY" "all_proxy" "HTTP_PROXY" "http_proxy"))
  (dict "name" "pushgateway" "variables" (list "COLLECTOR_PUSH__GATEWAY") "config" "push.gateway" "url" $push.gateway)
  (dict "name" "otlp" "variables" (list "COLLECTOR_PUSH__OTLP__ENDPOINT") "config" "push.otlp.endpoint" "url" ($push.otlp | default dict).endpoint)
-}}
{{- $used := dict -}}
{{- range $known -}}
{{- $value := index $values .name -}}
{{- $found := dict "url" (.url | default "" | toString) "from" (printf "config.%s" .config) -}}
{{- with $value.url }}{{ $found = dict "url" . "from" "" }}{{ end -}}
{{- range reverse .variables -}}
{{- if hasKey $values.env . }}{{ $found = dict "url" (get $values.env .) "from" (printf "env.%s" .) }}{{ end -}}
{{- end -}}
{{- range reverse .variables -}}
{{- if hasKey $values.secretEnv . }}{{ $found = dict "url" "" "from" (printf "secretEnv.%s" .) "secret" true }}{{ end -}}
{{- end -}}
{{- if not $found.from }}{{ $_ := set $found "from" (printf "%s.url" .name) }}{{ end -}}
{{- $database := has .name (list "postgresql" "table") -}}
{{- if or $found.secret (ternary (hasPrefix "postgresql://" $found.url) (ne $found.url "") $database) -}}
{{- $ports := include "usage-collector.ports" $found.url | fromJsonArray -}}
{{- if $value.port }}{{ $ports = list ($value.port | int) }}{{ end -}}
{{- if and (not $ports) $database }}{{ $ports = list 5432 }}{{ end -}}
{{- $to := $value.to -}}
{{- if and (eq .name "table") (not $to) }}{{ $to = $values.postgresql.to }}{{ end -}}
{{- $_ := set $used .name (merge $found (dict "to" $to "ports" $ports)) -}}
{{- end -}}
{{- end -}}
{{- toJson $used -}}
{{- end }}

{{/* The ports of a URL, as JSON: of each of its hosts, else the scheme's. */}}
{{- define "usage-collector.ports" -}}
{{- $default := get (dict "http" 80 "https" 443 "postgresql" 5432) (regexFind "^[A-Za-z]+" . | lower) -}}
{{- $ports := list -}}
{{- $query := regexFind "[?&]port=[0-9,]+" . | trimPrefix "?" | trimPrefix "&" | trimPrefix "port=" -}}
{{- $hosts := regexReplaceAll "^[A-Za-z0-9+.-]+://" . "" | splitList "?" | first | splitList "/" | first | splitList "@" | last -}}
{{- range ternary (list) (splitList "," $hosts) (empty .) -}}
{{- $port := regexFind ":[0-9]+$" . | trimPrefix ":" -}}
{{- if $port }}{{ $ports = append $ports ($port | atoi) }}{{ else if $default }}{{ $ports = append $ports $default }}{{ end -}}
{{- end -}}
{{- if $query }}{{ $ports = list }}{{ range splitList "," $query }}{{ $ports = append $ports (. | atoi) }}{{ end }}{{ end -}}
{{- $ports | uniq | toJson -}}
{{- end }}
