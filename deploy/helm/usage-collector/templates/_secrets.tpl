{{/*
Secrets in values: Helm keeps all values in the release, and a ConfigMap is readable for more people than a Secret. Each
value is looked at. No message shows one.
*/}}

{{- define "usage-collector.checkSecrets" -}}
{{- $env := .Values.env }}
{{- range concat .Values.orgs (.Values.config.orgs | default list) }}
{{- if or .access_key .token (get $env (.access_key_env | default "")) (get $env (.token_env | default "")) }}
{{- fail (printf "The org %s has its secret in the values. Put it into the Secret: access_key_file or token_file is its file." .name) }}
{{- end }}
{{- end }}
{{- range $name, $text := $env }}
{{- if eq (include "usage-collector.isSecretName" $name) "true" }}
{{- if not (regexMatch "^(?i:|true|false|yes|no|on|off|/(run|var|etc|data|tmp|home|opt|mnt|srv|secrets?)/.*)$" $text) }}
{{- fail (printf "env.%s is a secret by its name, and all of env is in a ConfigMap. Put it into a Secret of yours, and name its entry: secretEnv.%s={name: SECRET, key: KEY}. If it is the name of a file, its path begins with /run, /etc or /data." $name $name) }}
{{- end }}
{{- end }}
{{- end }}
{{- range $key, $value := omit .Values "global" }}
{{- include "usage-collector.checkValue" (dict "path" $key "value" $value) }}
{{- end }}
{{- end }}

{{/* Whether a variable of that name holds a secret. */}}
{{- define "usage-collector.isSecretName" -}}
{{- $words := "password|passwd|passphrase|secrets?|token|credentials?|headers|cookie|signature|api_?key|access_?key|private_?key|account_?key" -}}
{{- regexMatch (printf "(?i)(%s|(^|_)(key|pass|pwd))(_?[0-9]+|_b64|_base64|_json|_value)?$" $words) . -}}
{{- end }}

{{/* Look at a value and all below it. A dict: path, value. */}}
{{- define "usage-collector.checkValue" -}}
{{- $path := .path }}
{{- if kindIs "map" .value }}
{{- range $key, $value := .value }}
{{- if has $key (list "true" "false") }}
{{- fail (printf "%s has the key %s. Quote keys such as on, off, yes, no, y and n: without quotes, YAML reads true or false." $path $key) }}
{{- end }}
{{- include "usage-collector.checkValue" (dict "path" (printf "%s.%s" $path $key) "value" $value) }}
{{- end }}
{{- else if kindIs "slice" .value }}
{{- range $index, $value := .value }}
{{- include "usage-collector.checkValue" (dict "path" (printf "%s[%d]" $path $index) "value" $value) }}
{{- end }}
{{- else if kindIs "string" .value }}
{{- include "usage-collector.checkText" . }}
{{- end }}
{{- end }}

{{/*
Look at one text. In what the collector reads, half of a password may stand anywhere behind the host, if its `/` or `@` isn't
escaped. Elsewhere a text may have more than one thing in it, and only a URL that is clear is one.
*/}}
{{- define "usage-collector.checkText" -}}
{{- $ours := regexMatch "^(config|env|orgs)\\b|\\.url$" .path }}
{{- $url := ternary "(?is)://[^/@?#]*:.*@|https?://[^/\\s]*@" "(?i)://[^/@?#\\s\"',{}]*:[^/\\s\"',{}]+@" $ours }}
{{- $words := "password|passwd|pwd|secret|token|signature|sig|api_?key|access_?key|account_?key" }}
{{- $parameter := printf "(?i)(^|[?&;\\s])[^=&;?/\\s]*(%s)\\s*=\\s*[^&;\\s]|[?&][^=&;?\\s]*%%[0-9a-f]{2}[^=&;?\\s]*=" $words }}
{{- if or (regexMatch $url .value) (and $ours (regexMatch $parameter .value)) (regexMatch "(?i)://[^\\s\"']*[?&;](ssl)?password=[^{]" .value) }}
{{- fail (printf "%s contains a password, or what looks like one, and isn't a Secret. %s If it is none, escape its reserved characters as %%XX, for example `@` as %%40." .path (include "usage-collector.secretPlace" .path)) }}
{{- end }}
{{- if regexMatch "-----BEGIN [A-Z ]*PRIVATE KEY-----" .value }}
{{- fail (printf "%s contains a private key. %s" .path (include "usage-collector.secretPlace" .path)) }}
{{- end }}
{{- if regexMatch "(?i)authorization\\s*[:=]\\s*[a-z]+(\\s|%20)+\\S" (ternary .value "" $ours) }}
{{- fail (printf "%s contains a header with a secret. %s" .path (include "usage-collector.secretPlace" .path)) }}
{{- end }}
{{- $named := and .value (regexMatch "^(config|orgs|postgresql|table|env\\.COLLECTOR_)" .path) (not (contains ".labels." .path)) }}
{{- if and $named (regexMatch "(_file|passwordFile|_FILE)$" .path) (not (hasPrefix "/" .value)) }}
{{- fail (printf "%s must be the absolute path of a file. If it is the secret itself: put it into the Secret, whose files are in /run/secrets/usage-collector." .path) }}
{{- end }}
{{- if and $named (regexMatch "_env$" .path) (not (regexMatch "^[A-Za-z_][A-Za-z0-9_]*$" .value)) }}
{{- fail (printf "%s must be the name of a variable. If it is the secret itself: put it into the Secret, and name its file (…_file) instead." .path) }}
{{- end }}
{{- end }}

{{/* Where the secret in that value belongs. */}}
{{- define "usage-collector.secretPlace" -}}
{{- if regexMatch "^(postgresql\\.url|config\\.state\\.url|env\\.COLLECTOR_STATE__URL)$" . -}}
Put it into the Secret: postgresql.passwordFile, or config.state.password_file, is its file.
{{- else if regexMatch "^(table\\.url|config\\.output\\.path|env\\.COLLECTOR_OUTPUT__PATH)$" . -}}
Put it into the Secret: table.passwordFile, or config.output.password_file, is its file. Keys of an object store are variables: secretEnv.
{{- else if regexMatch "(?i)^(proxy\\.url|env\\.(https?|all)_proxy)$" . -}}
Put it into a Secret of yours, with all of the URL, and name its entry instead: secretEnv.HTTPS_PROXY={name: SECRET, key: KEY}. Set proxy.port, and leave proxy.url empty.
{{- else if regexMatch "^(otlp\\.url|config\\.push\\.otlp\\.endpoint|env\\.COLLECTOR_PUSH__OTLP__ENDPOINT)$" . -}}
Put it into the Secret, as the header Authorization: config.push.otlp.headers_file is its file.
{{- else if regexMatch "^(pushgateway\\.url|config\\.push\\.gateway|env\\.COLLECTOR_PUSH__GATEWAY)$" . -}}
Leave it out, also of a Secret: the collector sends no password to a Pushgateway.
{{- else if regexMatch "\\.base_url$|^env\\.COLLECTOR_API__BASE_URL$" . -}}
Put it into the Secret: access_key_file or token_file of an org is its file.
{{- else if hasPrefix "env." . -}}
Put it into a Secret of yours, and name its entry instead: secretEnv.{{ trimPrefix "env." . }}={name: SECRET, key: KEY}.
{{- else -}}
Put it into a Secret of yours: pods get it as a variable by secretEnv or envFrom, and as a file by extraVolumes.
{{- end -}}
{{- end }}
