import pytest

from features.exceptions import SettingsError
from features.sources.access_logs.format import Kind, log_format

COMBINED = ("remote_addr", "remote_logname", "remote_user", "time_local")
REQUEST = ("request_method", "uri", "server_protocol")


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("common", (*COMBINED, *REQUEST, "status", "body_bytes_sent")),
        ("combined", (*COMBINED, *REQUEST, "status", "body_bytes_sent", "http_referer", "http_user_agent")),
        ('$remote_addr [$time_local] "$request" $status', ("remote_addr", "time_local", *REQUEST, "status")),
        ("${status}x $msec", ("status", "msec")),
        ("$scheme://$host$request_uri $status", ("scheme", "host", "uri", "status")),
        ("$request_method $uri$is_args$args $status", ("request_method", "uri", "status")),
        ("$http_x_a $http_x_a", ("http_x_a", "http_x_a_2")),
        ("log_format api escape=json '$status '\n  '\"$request_uri\"';", ("status", "uri")),
        (r'LogFormat "%h %t \"%r\" %>s \"%{X-Account-Id}i\" %D" api', ("remote_addr", "time_local", *REQUEST)),
        (r"%m %U%q %{ms}T %{session}C %T %{c}n", ("request_method", "uri", "request_time_ms", "cookie_session")),
        ("%!200,304{User-Agent}i %{%Y-%m-%d}t 100%%", ("http_user_agent", "time")),
    ],
)
def test_a_format_says_which_columns_there_are(text, columns):
    assert log_format(text).columns[: len(columns)] == columns


def test_a_directive_says_how_values_are_escaped():
    assert log_format("log_format api escape=none '$status';").escape == "none"
    assert log_format("log_format api '$status';").escape == "default"


def test_the_query_is_no_column_but_can_be_asked():
    made = log_format("$args $status")
    assert made.columns == ("status",)
    assert made.has_query
    assert not log_format("$uri $status").has_query
    assert [field.kind for field in made.fields] == [Kind.QUERY, Kind.TEXT]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", r"The log format '' names no field. Give common, combined, vhost_combined, json, or the text that"),
        ("combined_time", r"'combined_time' names no field"),
        ("$status$request_time", r"has status and request_time side by side: nobody can say where one ends"),
    ],
)
def test_a_format_that_says_nothing_is_refused(text, said):
    with pytest.raises(SettingsError, match=said):
        log_format(text)
