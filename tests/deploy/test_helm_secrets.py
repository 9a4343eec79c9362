"""No secret is a value of the chart: what looks like one is refused, with where it belongs, and is never shown."""

from __future__ import annotations

import re

from tests.deploy.helm import builds, refusals

SECRET = "hunter2"

# Each place of a URL, and where its password belongs.
URLS = {
    "postgresql.url=postgresql://u:hunter2@db/c": "postgresql.passwordFile, or config.state.password_file,",
    "postgresql.url=postgresql://u:hunter2/@@db:5432/c": "postgresql.passwordFile",
    "config.state.url=postgresql://u:hunter2@db/c": "postgresql.passwordFile",
    "config.state.url=postgresql://db/c?user=u&password=hunter2": "postgresql.passwordFile",
    "config.state.url=postgresql://db/c?user=u&p%61ssword=hunter2": "postgresql.passwordFile",
    "config.state.url=postgresql://db/c?sslpassword=hunter2": "postgresql.passwordFile",
    "env.COLLECTOR_STATE__URL=postgresql://u:hunter2@db/c": "postgresql.passwordFile",
    "table.url=postgresql://u:hunter2@db/w/t": "table.passwordFile, or config.output.password_file,",
    "config.output.path=postgresql://u:hunter2@db/w/t": "table.passwordFile, or config.output.password_file,",
    "env.COLLECTOR_OUTPUT__PATH=postgresql://u:hunter2@db/w/t": "table.passwordFile",
    "config.output.path=s3://key:hunter2@bucket/p": "secretEnv",
    "config.output.path=az://a/c?sig=hunter2": "secretEnv",
    "proxy.url=http://u:hunter2@proxy:3128": r"secretEnv.HTTPS_PROXY=\{name: SECRET, key: KEY\}",
    "proxy.url=http://hunter2@proxy:3128": r"secretEnv.HTTPS_PROXY",
    "env.HTTPS_PROXY=http://u:hunter2@proxy:3128": "secretEnv.HTTPS_PROXY",
    "env.https_proxy=http://u:hunter2@proxy:3128": "secretEnv.HTTPS_PROXY",
    "pushgateway.url=http://u:hunter2@push:9091": "sends no password to a Pushgateway",
    "config.push.gateway=http://u:hunter2@push:9091": "sends no password to a Pushgateway",
    "env.COLLECTOR_PUSH__GATEWAY=http://u:hunter2@push:9091": "sends no password to a Pushgateway",
    "otlp.url=https://u:hunter2@otlp:4318": "config.push.otlp.headers_file",
    "otlp.url=https://otlp/v1?api_key=hunter2": "config.push.otlp.headers_file",
    "config.push.otlp.endpoint=https://u:hunter2@otlp:4318": "config.push.otlp.headers_file",
    "config.api.base_url=https://u:hunter2@api.example.com": "access_key_file or token_file",
    "orgs[0].base_url=https://u:hunter2@api.example.com": "access_key_file or token_file",
    "config.orgs[0].name=b,config.orgs[0].base_url=https://u:hunter2@a.com": "access_key_file or token_file",
    "orgs[0].labels.wiki=https://u:hunter2@wiki.example.com": "secretEnv or envFrom",
    "env.WAREHOUSE=mysql://u:hunter2@db/w": r"secretEnv.WAREHOUSE=\{name",
    "env.DSN=host=db password=hunter2": r"secretEnv.DSN",
    "env.AZURE=AccountName=a;AccountKey=hunter2": r"secretEnv.AZURE",
    "podAnnotations.wiki=https://u:hunter2@wiki.example.com": "extraVolumes",
    "ingress.annotations.auth=https://u:hunter2@auth.example.com": "extraVolumes",
    "pod.dnsConfig.searches[0]=http://u:hunter2@x": "extraVolumes",
    "image.repository=https://u:hunter2@registry.example.com/c": "extraVolumes",
}


def test_password_in_a_url_is_refused_wherever_it_stands() -> None:
    check(dict(URLS))


VARIABLES = [
    "AWS_SECRET_ACCESS_KEY",
    "aws_secret_access_key",
    "AWS_SESSION_TOKEN",
    "AZURE_STORAGE_ACCOUNT_KEY",
    "AZURE_CLIENT_SECRET",
    "AZURE_STORAGE_SAS_TOKEN",
    "GOOGLE_SERVICE_ACCOUNT_KEY",
    "PGPASSWORD",
    "DB_PASS",
    "DB_PASSWORD_1",
    "MY_API_KEY",
    "MYAPIKEY",
    "CREDENTIALS",
    "SIGNING_KEY_B64",
    "OTEL_EXPORTER_OTLP_HEADERS",
    "ACME_ACCESS_KEY",
    "ACME_TOKEN",
    "KEY",
]


def test_variable_that_is_a_secret_by_its_name_is_refused() -> None:
    check({f"env.{name}=hunter2": rf"secretEnv\.{name}=\{{name: SECRET, key: KEY\}}" for name in VARIABLES})


def test_secret_of_an_org_is_refused() -> None:
    places = [
        "orgs[0].access_key=hunter2",
        "orgs[0].token=hunter2",
        "config.orgs[0].name=b,config.orgs[0].token=hunter2",
        "orgs[0].token_env=ACME,env.ACME=hunter2",
    ]
    check(dict.fromkeys(places, "Put it into the Secret: access_key_file or token_file is its file"))


def test_secret_in_place_of_its_file_or_variable_is_refused() -> None:
    """Also where a schema would refuse it: that shows the value."""
    check(
        {
            "orgs[0].access_key_file=hunter2": r"orgs\[0\].access_key_file must be the absolute path of a file",
            "config.state.password_file=hunter2": "config.state.password_file must be the absolute path",
            "config.service.token_file=hunter2": "config.service.token_file must be the absolute path",
            "config.push.otlp.headers_file=hunter2": "config.push.otlp.headers_file must be the absolute path",
            "postgresql.passwordFile=hunter2": "postgresql.passwordFile must be the absolute path",
            "table.passwordFile=hunter2": "table.passwordFile must be the absolute path",
            "env.COLLECTOR_STATE__PASSWORD_FILE=hunter2": "env.COLLECTOR_STATE__PASSWORD_FILE must be the absolute",
            "orgs[0].token_env=hunter2+/": r"orgs\[0\].token_env must be the name of a variable",
        }
    )


def test_secret_in_another_form_is_refused() -> None:
    key = "-----BEGIN RSA PRIVATE KEY-----\nhunter2\n"
    check(
        {
            f"podAnnotations:\n  key: {key!r}".replace("'", '"'): "podAnnotations.key contains a private key",
            "env.EXTRA=authorization: Bearer hunter2": "env.EXTRA contains a header with a secret",
            "env.EXTRA=Authorization=Basic%20hunter2": "env.EXTRA contains a header with a secret",
        }
    )


def test_wrong_url_that_may_have_half_a_password_in_it_is_not_shown() -> None:
    check(
        {
            f"{place}=no-url hunter2": f"{re.escape(place)} is no URL of a"
            for place in (
                "proxy.url",
                "otlp.url",
                "postgresql.url",
                "table.url",
                "config.state.url",
                "config.push.gateway",
            )
        }
    )


def check(wanted: dict[str, str]) -> None:
    found = refusals(wanted)
    wrong = {value: found[value] for value, message in wanted.items() if not re.search(message, found[value])}
    assert not wrong
    assert not [message for message in found.values() if SECRET in message]


def test_what_only_looks_like_a_secret_is_a_value() -> None:
    """A file of a Secret, a switch, a user without a password, a port, an address with an @ behind its path."""
    builds(
        [value]
        for value in (
            "env.GOOGLE_APPLICATION_CREDENTIALS=/run/secrets/usage-collector/google.json",
            "env.AWS_ACCESS_KEY_ID=AKIAIOSFODNN7EXAMPLE",
            "env.AWS_WEB_IDENTITY_TOKEN_FILE=/var/run/secrets/eks/token",
            "env.AWS_SSE_KMS_KEY_ID=arn:aws:kms:eu-west-1:1:key/2",
            'env: {USE_TOKEN: "true"}\n',
            'env: {TOKEN_TTL: "60", USE_TOKEN: "on"}\n',
            "env.PGPASSFILE=/run/secrets/usage-collector/pgpass",
            "env.COLLECTOR_STATE__PASSWORD_FILE=/run/secrets/usage-collector/x",
            "env.NO_PROXY=.svc\\,10.0.0.0/8",
            "postgresql.url=postgresql://collector@db:5432\\,db2:5433/c?sslmode=verify-full&sslrootcert=/run/secrets/ca",
            "table.url=postgresql://collector@db/w/t",
            "orgs[0].access_key_env=ACME_ACCESS_KEY",
            "orgs[0].labels.key_file=none",
            "orgs[0].labels.contact=usage@example.com",
            "config.output.path=s3://bucket/token=3/usage",
            "podAnnotations.doc=see http://wiki:8080/a and ops@example.com",
            "podAnnotations.image=oci://registry:5000/c@sha256:1",
            'podAnnotations:\n  vault: "postgresql://u:{{ .Data.password }}@db/c?password={{ .Data.password }}"',
            "serviceAccount.annotations.role=arn:aws:iam::1:role/usage",
        )
    )
