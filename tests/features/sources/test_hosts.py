"""Which machine wrote a file: read off its path alone, and the same however the file is rotated or packed."""

import re
from pathlib import Path

import pytest

from features.exceptions import SettingsError
from features.settings.load import load_settings
from features.sources.hosts import host_of


@pytest.mark.parametrize(
    ("path", "host"),
    [
        ("/logs/web1/access.log", "web1"),
        ("/logs/web1/access.log.1.gz", "web1"),
        ("/logs/web1/archive/2026/06/access.log-20260629.zst", "web1"),
        ("/logs/web1/nginx/access_log.1.old", "web1"),
        ("/logs/host=web1/day=2026-06-01/part-0001.parquet", "web1"),
        ("/logs/web1/u_ex260601.log", "web1"),
        ("/logs/web1/other_vhosts_access.log", "web1"),
        ("/logs/2026-06-29/web1/calls-1.csv", "web1"),
        ("/srv/bellwether/inbox/events/web1/access.log", "web1"),
        ("/logs/web1-access.log", "web1"),
        ("/logs/WEB1-access.log.3.xz", "web1"),
        ("/logs/access-web1.log.2026-06-29T00:00:00.bz2", "web1"),
        ("/logs/web1.log", "web1"),
        ("/logs/web-01-access.log.2", "web-01"),
        ("/logs/web-01-access-2026-06-29.log.gz", "web-01"),
        ("/logs/20260629_web-01_access.log", "web-01"),
        ("/elsewhere/ip-10-0-0-17.calls.jsonl.gz", "ip-10-0-0-17"),
        ("/logs/web1.example.com.access.log.zip", "web1.example.com"),
        ("/logs/access.log", None),
        ("/var/log/nginx/access.log.1.gz", None),
        ("/logs/2026-06-29/calls.csv", None),
        ("/srv/bellwether/inbox/events/access.log", None),
    ],
)
def test_a_machine_is_named_by_the_files_name_and_else_by_its_folder(path, host):
    assert host_of(Path(path), "host") == host


@pytest.mark.parametrize(
    ("pattern", "path", "host"),
    [
        ("{host}/*", "/a/web1/orders-access.log.1.gz", "web1"),
        ("{host}/*/*", "/a/web1/nginx/access.log", "web1"),
        ("logs/*-{host}.log", "/a/logs/access-WEB1.log.2.gz", "web1"),
        ("logs/*-{host}.log", "/a/other/access-web1.log", None),
        ("{host}-access.log*", "/a/web-1-access.log.1.gz", "web-1"),
        ("{host}.calls.csv", "/a/web1.calls.csv.zst", "web1"),
        ("{host}.calls.csv", "/a/calls.csv", None),
    ],
)
def test_a_pattern_says_which_part_of_a_path_names_the_machine(pattern, path, host):
    assert host_of(Path(path), pattern) == host


@pytest.mark.parametrize(
    "text",
    ["hosts", "web1/*", "{machine}/*", "{host}/{host}.log", "{host}*", "*{host}.log", "logs/{host}", "{host", ""],
)
def test_a_pattern_that_names_no_machine_is_refused(text):
    with pytest.raises(SettingsError, match=re.escape(f"distinct_files: {text!r} does not say which part of")):
        load_settings(sources={"events": {"distinct_files": text}})
