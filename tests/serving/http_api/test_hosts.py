"""Which hosts the service answers to: a page of another site must not read it through a name that it rebinds."""

from __future__ import annotations

import pytest

from features.exceptions import SettingsError
from features.settings.load import load_settings
from serving.http_api.hosts import names_of
from tests.serving.http_api.test_middleware import client, is_problem


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST:3000", "127.0.0.1:3000", "127.9.9.9", "[::1]:3000", "10.0.0.7", "bell.example.com:443"],
)
def test_a_host_of_this_service_is_answered(host: str) -> None:
    settings = load_settings(host="10.0.0.7", public_url="https://Bell.example.com/", api_keys="0" * 64)
    answer = client(hosts=names_of(settings)).get("/livez", headers={"host": host})
    assert answer.status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:3000",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "localhost@evil.example",
        "evil.example#localhost",
        "10.0.0.8",
        "0.0.0.0",
        "",
        "[::1",
        "localhost, evil.example",
    ],
)
@pytest.mark.parametrize("path", ["/v1/models", "/livez", "/metrics", "/docs", "/nowhere"])
def test_another_host_is_misdirected_wherever_it_asks(host: str, path: str) -> None:
    answer = client().get(path, headers={"host": host})
    assert is_problem(answer, 421)
    assert "BELLWETHER_PUBLIC_URL" in answer.json()["detail"]
    assert "evil" not in answer.text


def test_of_two_hosts_both_must_be_ours() -> None:
    answer = client().get("/livez", headers=[("host", "localhost"), ("host", "evil.example")])
    assert is_problem(answer, 421)


@pytest.mark.parametrize("url", ["bell.example.com", "ftp://bell.example.com", "https://bell.example.com/path", "x y"])
def test_a_public_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(SettingsError, match="public_url"):
        load_settings(public_url=url)
