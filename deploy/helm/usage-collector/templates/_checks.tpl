{{/* Values that can't be right, each with what to do. What may hold a secret isn't shown. */}}
{{- define "usage-collector.check" -}}
{{- include "usage-collector.checkTogether" . }}
{{- include "usage-collector.checkNames" . }}
{{- include "usage-collector.checkTimes" . }}
{{- include "usage-collector.checkQuantities" . }}
{{- include "usage-collector.checkUrls" . }}
{{- include "usage-collector.checkServers" . }}
{{- end }}

{{/* Values that are each right and don't fit together. */}}
{{- define "usage-collector.checkTogether" -}}
{{- with .Values }}
{{- if and .existingConfigMap .orgs }}
{{- fail "Both existingConfigMap and orgs are set. Put the orgs into the ConfigMap, or leave existingConfigMap out." }}
{{- end }}
{{- if not (or .existingConfigMap .orgs) }}
{{- fail "Set orgs to a list of orgs, or existingConfigMap to a ConfigMap with collector.yaml." }}
{{- end }}
{{- if ne (empty .backfill.from) (empty .backfill.to) }}
{{- fail "Set both backfill.from and backfill.to, or neither." }}
{{- end }}
{{- if and (eq .mode "sharded") .persistence.existingClaim }}
{{- fail "persistence.existingClaim is for one pod. mode: sharded makes a claim for each: leave existingClaim out." }}
{{- end }}
{{- if and .reconcile.enabled (ne .mode "cronjob") }}
{{- fail "reconcile.enabled is for mode: cronjob. `serve` reconciles by itself: config.schedule.reconcile." }}
{{- end }}
{{- if and .podMonitor.enabled (eq .mode "cronjob") }}
{{- fail "podMonitor is for the modes service and sharded. A CronJob pushes its metrics: set pushgateway.url." }}
{{- end }}
{{- range $name, $_ := .podLabels }}
{{- if has $name (list "app.kubernetes.io/name" "app.kubernetes.io/instance" "app.kubernetes.io/component") }}
{{- fail (printf "podLabels has %s, which the chart sets: selectors need it. Leave it out. nameOverride sets app.kubernetes.io/name." $name) }}
{{- end }}
{{- end }}
{{- range $name, $_ := .secretEnv }}
{{- if or (hasKey $.Values.env $name) (eq $name "COLLECTOR_SHARDS") }}
{{- fail (printf "secretEnv.%s is also set by %s. Leave one of them out." $name (ternary "sharded.shards" (printf "env.%s" $name) (eq $name "COLLECTOR_SHARDS"))) }}
{{- end }}
{{- end }}
{{- range .extraVolumes }}
{{- if has .name (list "config" "credentials" "data" "tmp") }}
{{- fail (printf "extraVolumes has %s, which is a volume of the chart. Give yours another name." .name) }}
{{- end }}
{{- end }}
{{- $volumes := list "data" "tmp" }}
{{- range .extraVolumes }}{{ $volumes = append $volumes .name }}{{ end }}
{{- range .extraVolumeMounts }}
{{- if not (has .name $volumes) }}
{{- fail (printf "extraVolumeMounts names %s, which is none of extraVolumes. Add it there." .name) }}
{{- end }}
{{- if has (trimSuffix "/" .mountPath) (list "/etc/collector" "/run/secrets/usage-collector" "/data" "/tmp") }}
{{- fail (printf "extraVolumeMounts has the path %s, where the chart mounts a volume. Choose another path." .mountPath) }}
{{- end }}
{{- end }}
{{- with .ingress }}
{{- if .host }}
{{- if ne $.Values.mode "service" }}
{{- fail "ingress is for mode: service. A CronJob has no status page, and each shard has its own." }}
{{- end }}
{{- if not .tlsSecret }}
{{- fail "Set ingress.tlsSecret: the token of the status page must not be sent without TLS." }}
{{- end }}
{{- $service := $.Values.config.service }}
{{- if not (or $.Values.existingConfigMap $service.token_file $.Values.env.COLLECTOR_SERVICE__TOKEN_FILE) }}
{{- fail "ingress.host publishes the status page. Set config.service.token_file to a file of the Secret: it has the token that every visitor needs." }}
{{- end }}
{{- if not (or $.Values.existingConfigMap (has .host ($service.allowed_hosts | default list))) }}
{{- fail (printf "Add %s to config.service.allowed_hosts: the service answers to no other host name." .host) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* Servers: a policy needs to know where each is, and on which port. */}}
{{- define "usage-collector.checkServers" -}}
{{- $servers := include "usage-collector.servers" . | fromJson }}
{{- with .Values }}
{{- if and (eq .mode "sharded") (not $servers.postgresql) }}
{{- fail "mode: sharded needs postgresql.url: all shards share one ledger on PostgreSQL." }}
{{- end }}
{{- if and .prometheusRule.enabled (eq .mode "cronjob") (not $servers.pushgateway) }}
{{- fail "prometheusRule with mode: cronjob needs pushgateway.url: without it a CronJob has no metrics." }}
{{- end }}
{{- if .networkPolicy.enabled }}
{{- range $name, $server := $servers }}
{{- if and (not .to) (not $.Values.networkPolicy.egress) }}
{{- fail (printf "Set %s.to: where it is. The network policy lets pods connect only to that. (%s uses it.)" $name .from) }}
{{- end }}
{{- if and .to (not .ports) }}
{{- fail (printf "Set %s.port: the URL is in a Secret (%s), so the network policy can't know it." $name .from) }}
{{- end }}
{{- range .ports }}
{{- if or (lt (. | int) 1) (gt (. | int) 65535) }}
{{- fail (printf "%s has a port that isn't between 1 and 65535." $server.from) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{- define "usage-collector.checkNames" -}}
{{- with .Values }}
{{- $names := dict "existingConfigMap" .existingConfigMap "existingSecret" .existingSecret }}
{{- $_ := set $names "persistence.existingClaim" .persistence.existingClaim }}
{{- $_ := set $names "serviceAccount.name" .serviceAccount.name }}
{{- $_ := set $names "networkPolicy.monitoringNamespace" .networkPolicy.monitoringNamespace }}
{{- $_ := set $names "ingress.className" .ingress.className }}
{{- $_ := set $names "ingress.controllerNamespace" .ingress.controllerNamespace }}
{{- $_ := set $names "ingress.host" .ingress.host }}
{{- $_ := set $names "ingress.tlsSecret" .ingress.tlsSecret }}
{{- range list "storageClass" "sharedStorageClass" }}
{{- $_ := set $names (printf "persistence.%s" .) (index $.Values.persistence . | trimPrefix "-") }}
{{- end }}
{{- range $path, $name := $names }}
{{- if not (regexMatch "^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?)?$" $name) }}
{{- fail (printf "%s is no name of an object: small letters, digits, `-` and `.`, and a letter or a digit at both ends." $path) }}
{{- end }}
{{- end }}
{{- range $path := list "fullnameOverride" "nameOverride" }}
{{- if not (regexMatch "^([a-z0-9]([-a-z0-9]*[a-z0-9])?)?$" (index $.Values $path)) }}
{{- fail (printf "%s is no name: small letters, digits and `-`, and a letter or a digit at both ends." $path) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{- define "usage-collector.checkTimes" -}}
{{- with .Values }}
{{- range $path := list "cronjob" "reconcile" }}
{{- $value := index $.Values $path }}
{{- with include "usage-collector.cronFlaw" $value.schedule }}
{{- fail (printf "%s.schedule is %q: %s. Write minute, hour, day, month and weekday, such as \"20 * * * *\"." $path $value.schedule .) }}
{{- end }}
{{- if not (regexMatch "^[A-Z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*$" $value.timeZone) }}
{{- fail (printf "%s.timeZone is %q: write the name of a time zone, such as Etc/UTC or Europe/Berlin." $path $value.timeZone) }}
{{- end }}
{{- end }}
{{- if not (regexMatch "^0*[1-9][0-9]{0,4}[dh]$" .reconcile.last) }}
{{- fail (printf "reconcile.last is %q: write a duration of days or hours, such as 90d." .reconcile.last) }}
{{- end }}
{{- $dates := dict "backfill.from" .backfill.from "backfill.to" .backfill.to "config.defaults.since" (.config.defaults | default dict).since }}
{{- range $index, $org := .orgs }}{{ $_ := set $dates (printf "orgs[%d].since" $index) .since }}{{ end }}
{{- range $index, $org := .config.orgs }}{{ $_ := set $dates (printf "config.orgs[%d].since" $index) .since }}{{ end }}
{{- range $path, $date := $dates }}
{{- if and $date (ne (include "usage-collector.isDate" $date) "true") }}
{{- fail (printf "%s is %q, which is no date. Write one such as 2026-01-31, not before 2015." $path $date) }}
{{- end }}
{{- end }}
{{- if gt .backfill.from .backfill.to }}
{{- fail (printf "backfill.from (%s) is later than backfill.to (%s)." .backfill.from .backfill.to) }}
{{- end }}
{{- end }}
{{- end }}

{{/* Whether a text is a date that exists, and for which there can be usage. */}}
{{- define "usage-collector.isDate" -}}
{{- $day := toDate "2006-01-02Z07:00" (printf "%sZ" .) -}}
{{- and (eq (dateInZone "2006-01-02" $day "UTC") (toString .)) (ge (toString .) "2015-01-01") -}}
{{- end }}

{{/* What is wrong with the schedule of a CronJob; nothing if it is right. As Kubernetes reads it. */}}
{{- define "usage-collector.cronFlaw" -}}
{{- $fields := regexSplit "\\s+" (trim .) -1 -}}
{{- if hasPrefix "@" . -}}
{{- if not (regexMatch "^@(yearly|annually|monthly|weekly|daily|midnight|hourly|every ([0-9]+[hms])+)$" .) }}there is no such word{{ end -}}
{{- else if ne (len $fields) 5 -}}
it has {{ len $fields }} of five fields
{{- else -}}
{{- $flaws := list -}}
{{- $known := list
  (dict "name" "minute" "low" 0 "high" 59)
  (dict "name" "hour" "low" 0 "high" 23)
  (dict "name" "day" "low" 1 "high" 31)
  (dict "name" "month" "low" 1 "high" 12 "words" (list "jan" "feb" "mar" "apr" "may" "jun" "jul" "aug" "sep" "oct" "nov" "dec"))
  (dict "name" "weekday" "low" 0 "high" 6 "words" (list "sun" "mon" "tue" "wed" "thu" "fri" "sat"))
-}}
{{- range $index, $field := $known -}}
{{- $text := index $fields $index | lower -}}
{{- range $number, $word := .words }}{{ $text = regexReplaceAll (printf "\\b%s\\b" $word) $text (add $number $field.low | toString) }}{{ end -}}
{{- range splitList "," $text -}}
{{- if not (regexMatch "^([*?]|[0-9]{1,3}(-[0-9]{1,3})?)(/0*[1-9][0-9]{0,2})?$" .) -}}
{{- $flaws = append $flaws (printf "the %s can't be read" $field.name) -}}
{{- else -}}
{{- $ends := regexFindAll "[0-9]+" (splitList "/" . | first) -1 -}}
{{- range $ends -}}
{{- if or (lt (atoi .) $field.low) (gt (atoi .) $field.high) }}{{ $flaws = append $flaws (printf "the %s isn't between %d and %d" $field.name $field.low $field.high) }}{{ end -}}
{{- end -}}
{{- if and (eq (len $ends) 2) (gt (first $ends | atoi) (last $ends | atoi)) }}{{ $flaws = append $flaws (printf "the %s ends before it begins" $field.name) }}{{ end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $flaws | uniq | join ", " -}}
{{- end -}}
{{- end }}

{{- define "usage-collector.checkQuantities" -}}
{{- $found := dict "persistence.size" .Values.persistence.size }}
{{- $resources := .Values.resources }}
{{- range $kind := list "requests" "limits" }}
{{- range $name, $amount := index $resources $kind | default dict }}
{{- if not (kindIs "invalid" $amount) }}{{ $_ := set $found (printf "resources.%s.%s" $kind $name) $amount }}{{ end }}
{{- end }}
{{- end }}
{{- range $path, $amount := $found }}
{{- $cpu := hasSuffix ".cpu" $path }}
{{- $example := ternary "500m or 2" (ternary "10Gi" "768Mi" (eq $path "persistence.size")) $cpu }}
{{- if not (regexMatch "^([0-9]+(\\.[0-9]*)?|\\.[0-9]+)([munkMGTPE]|[KMGTPE]i|[eE][+-]?[0-9]+)?$" (toString $amount)) }}
{{- fail (printf "%s is %q, which is no quantity. Write one such as %s." $path (toString $amount) $example) }}
{{- end }}
{{- if and (not $cpu) (regexMatch "[mun]$" (toString $amount)) }}
{{- fail (printf "%s is %q: that is less than a byte. Write a quantity such as %s." $path (toString $amount) $example) }}
{{- end }}
{{- end }}
{{- if not (include "usage-collector.amount" .Values.persistence.size | float64) }}
{{- fail "persistence.size is 0. Write a quantity such as 10Gi." }}
{{- end }}
{{- range $name, $limit := $resources.limits }}
{{- $request := get ($resources.requests | default dict) $name }}
{{- if and (not (kindIs "invalid" $limit)) $request (gt (include "usage-collector.amount" $request | float64) (include "usage-collector.amount" $limit | float64)) }}
{{- fail (printf "resources.requests.%s (%v) is more than resources.limits.%s (%v). Set both: no pod would start." $name $request $name $limit) }}
{{- end }}
{{- end }}
{{- end }}

{{/* A quantity as a number. */}}
{{- define "usage-collector.amount" -}}
{{- $number := regexFind "^[0-9.]+([eE][+-]?[0-9]+)?" (toString .) -}}
{{- $units := dict "n" 0.000000001 "u" 0.000001 "m" 0.001 "k" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "P" 1e15 "E" 1e18 "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 "Pi" 1125899906842624 "Ei" 1152921504606846976 -}}
{{- mulf (float64 $number) (get $units (trimPrefix $number (toString .)) | default 1) -}}
{{- end }}

{{/* URLs that can't be right. Their texts aren't shown: half of a password may be in them. */}}
{{- define "usage-collector.checkUrls" -}}
{{- with .Values }}
{{- $push := .config.push | default dict }}
{{- $api := .config.api | default dict }}
{{- $urls := dict "proxy.url" .proxy.url "pushgateway.url" .pushgateway.url "otlp.url" .otlp.url }}
{{- $_ := set $urls "config.push.gateway" $push.gateway }}
{{- $_ := set $urls "config.push.otlp.endpoint" ($push.otlp | default dict).endpoint }}
{{- $_ := set $urls "config.api.base_url" $api.base_url }}
{{- range $name, $text := .env }}
{{- if regexMatch "^COLLECTOR_(API__BASE_URL|PUSH__GATEWAY|PUSH__OTLP__ENDPOINT)$|(?i)^(https?|all)_proxy$" $name }}{{ $_ := set $urls (printf "env.%s" $name) $text }}{{ end }}
{{- end }}
{{- range $index, $org := .orgs }}{{ $_ := set $urls (printf "orgs[%d].base_url" $index) .base_url }}{{ end }}
{{- range $index, $org := .config.orgs }}{{ $_ := set $urls (printf "config.orgs[%d].base_url" $index) .base_url }}{{ end }}
{{- range $path, $url := $urls }}
{{- if and $url (not (regexMatch "^(?i:https?)://(\\[[0-9A-Fa-f:.]+\\]|[\\w.-]+)(:[0-9]{1,5})?(/[^\\s?#@]*)?$" (toString $url))) }}
{{- fail (printf "%s is no URL of a server. Write one such as https://host.example.com or http://host:8080." $path) }}
{{- end }}
{{- end }}
{{- $state := dict "postgresql.url" .postgresql.url "config.state.url" (.config.state | default dict).url "env.COLLECTOR_STATE__URL" .env.COLLECTOR_STATE__URL }}
{{- range $path, $url := $state }}
{{- if and $url (not (regexMatch (ternary "^postgresql://\\S+$" "^(none|sqlite:///\\S.*|postgresql://\\S+)$" (eq $path "postgresql.url")) (toString $url))) }}
{{- fail (printf "%s is no URL of a ledger. Write one such as postgresql://collector@HOST/collector%s." $path (ternary "" ", sqlite:////data/state/ledger.db or none" (eq $path "postgresql.url"))) }}
{{- end }}
{{- end }}
{{- $output := dict "table.url" .table.url "config.output.path" (.config.output | default dict).path "env.COLLECTOR_OUTPUT__PATH" .env.COLLECTOR_OUTPUT__PATH }}
{{- range $path, $url := $output }}
{{- $url = $url | default "" | toString }}
{{- if and $url (or (contains "://" $url) (eq $path "table.url")) }}
{{- if not (regexMatch (ternary "^postgresql://[^/?\\s]*/[^/?\\s]+/[^/?\\s]+(\\?\\S*)?$" "^((s3|gs|az)://[^/?\\s]\\S*|postgresql://[^/?\\s]*/[^/?\\s]+/[^/?\\s]+(\\?\\S*)?)$" (eq $path "table.url")) $url) }}
{{- fail (printf "%s is no URL of an output. Write one such as postgresql://collector@HOST/DATABASE/SCHEMA.TABLE%s." $path (ternary "" ", s3://BUCKET/PREFIX, gs://BUCKET/PREFIX or az://ACCOUNT/CONTAINER/PREFIX" (eq $path "table.url"))) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
