"""The URL of a ledger in PostgreSQL, without a server."""

from __future__ import annotations

from pathlib import Path

import pytest

from collector.ledger.postgresql import Dsn, UrlError
from collector.ledger.postgresql.dsn import with_files_beside


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://me:hunter2@db.example:5433/usage?sslmode=require", "postgresql://db.example:5433/usage"),
        ("postgresql://me@a,b:6000/usage?schema=team", "postgresql://a,b:6000/usage?schema=team"),
        ("postgresql:///usage?host=/run/postgresql&password=hunter2", "postgresql:///run/postgresql/usage"),
        ("postgresql://me:hunter2%2F%3F@[::1]/usage", "postgresql://::1/usage"),
        ("postgresql://me:hunter2%3Fx%23y@db/usage", "postgresql://db/usage"),
        ("postgresql://me:hunter2:!$&'()*+,;=@db/usage", "postgresql://db/usage"),
    ],
)
def test_a_dsn_is_shown_without_user_and_password(url: str, shown: str) -> None:
    dsn = Dsn.parse(url)
    assert str(dsn) == shown
    assert "hunter2" not in f"{dsn} {dsn!r}"


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:hunter2@db",
        "postgresql://me:hunter2@db/x?schema=A",
        "postgresql://me:hunter2@db/x?schema=a&schema=b",
        "postgresql://me:hunter2@db/x?hunter2=1",
        "postgresql://me:x@hunter2@db/%zz",
        "postgresql://me:hunter2@[db/x",
        "postgresql://me:hunter2?x#y@db/usage",
        "postgresql://me:12/hunter2@db/usage",
        "postgresql://me:12/hunter2/x",
        "postgresql://me:hunter2",
        "postgresql://me:12345678/usage",
        "postgresql://db:5432?dbname=usage&password=x@hunter2/y",
        "postgresql://db/usage?password=x&hunter2",
        "postgresql://db/usage?password=x&hunter2=y",
        "postgresql://db/usage?password=x#hunter2",
    ],
)
def test_an_invalid_url_is_reported_without_what_may_be_a_password(url: str) -> None:
    with pytest.raises(UrlError) as caught:
        Dsn.parse(url)
    assert "hunter2" not in f"{caught.value} {caught.value!r} {caught.value.__cause__!r}"


@pytest.mark.parametrize(
    "schema",
    [
        *(
            "x;DROP%20SCHEMA%20public",
            "x%3BDROP%20SCHEMA%20public%20CASCADE%3B--",
            "x%22%3B--",
            "x'",
            "x%27",
            "%22x%22",
            "a.b",
        ),
        *(
            "public,pg_catalog",
            "pg_catalog",
            "pg_temp",
            "x%00",
            "x%0A",
            "%2E%2E%2Fx",
            "$user",
            "%24user",
            "x y",
            "é",
            "",
        ),
        *("x" * 64, "1x", "X", "x-y", "x%", "x\\", "x&options=-csearch_path%3Dpublic"),
    ],
)
def test_a_schema_is_a_plain_name_whatever_sql_the_url_has_in_its_place(schema: str) -> None:
    with pytest.raises(UrlError):
        Dsn.parse(f"postgresql://me@db/usage?schema={schema}")


@pytest.mark.parametrize("character", "/?#[]@% ")
@pytest.mark.parametrize(
    "url",
    ["postgresql://bob:S3cr{}et9x@host/db", "postgresql://bob:12{}3x@host/db", "postgresql://host/db?password=S3{}"],
)
def test_a_password_with_a_reserved_character_says_which_characters_to_escape(url: str, character: str) -> None:
    if "?password" in url and character in "/?[]":
        assert Dsn.parse(url.format(character)).params["password"] == f"S3{character}"
        return
    with pytest.raises(UrlError, match="escape reserved characters") as caught:
        Dsn.parse(url.format(character))
    assert "state.password_file" in str(caught.value)


def test_a_log_of_tls_keys_is_refused() -> None:
    with pytest.raises(UrlError, match="must not set an sslkeylogfile"):
        Dsn.parse("postgresql://me@db/usage?sslkeylogfile=/tmp/keys")


def test_relative_files_in_a_url_are_joined_to_a_directory() -> None:
    beside = with_files_beside("postgresql://u:a%2Fb@h/d?sslrootcert=ca.pem&sslkey=/k&sslmode=require", Path("/etc/c"))
    assert Dsn.parse(beside).params == {
        "user": "u",
        "password": "a/b",
        "host": "h",
        "dbname": "d",
        "sslrootcert": "/etc/c/ca.pem",
        "sslkey": "/k",
        "sslmode": "require",
    }
    for same in ("postgresql://h/d", "postgresql://h/d?sslrootcert=system", "postgresql://h/d?options=-c%20a%3Db+c"):
        assert with_files_beside(same, Path("/etc/c")) == same
