import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.exceptions import SettingsError
from features.templating import Templates, template


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/v1/orders/981", "/v1/orders/{id}"),
        ("/v1/orders/981/?page=2", "/v1/orders/{id}"),
        ("https://api.example.org/v1/orders", "/v1/orders"),
        ("/v1/u/0f8fad5b-d9cb-469f-a165-70867728950e", "/v1/u/{uuid}"),
        ("/v1/days/2026-06-29", "/v1/days/{date}"),
        ("/v1/users/ada@example.org", "/v1/users/{email}"),
        ("/v1/blobs/deadbeef01", "/v1/blobs/{hash}"),
        ("/v1/customers/cus_9s8dJK29", "/v1/customers/{id}"),
        ("/v1/orders/{order_id}", "/v1/orders/{order_id}"),
        ("/v1/oauth2/token", "/v1/oauth2/token"),
        ("/v1/checkout-sessions-for-version-2", "/v1/checkout-sessions-for-version-2"),
        ("", "/"),
    ],
)
def test_takes_out_what_names_one_thing(path, expected):
    assert template(path) == expected


def test_declared_patterns_come_first_in_their_order():
    patterns = ["/v1/files/latest", "/v1/files/{name}", "/v1/raw/{rest...}"]
    paths = ["/v1/files/latest", "/v1/files/report.pdf", "/v1/raw/a/b/c", "/v1/files"]
    assert [template(path, patterns) for path in paths] == [*patterns, "/v1/files"]


def test_a_pattern_without_a_slash_is_refused():
    with pytest.raises(SettingsError, match=r"'files/\{name\}' does not start with a slash"):
        Templates(["files/{name}"])


segments = st.one_of(
    st.text(max_size=8), st.integers().map(str), st.uuids().map(str), st.dates().map(str), st.emails(), st.just("{id}")
)


@given(st.one_of(st.text(), st.lists(segments, max_size=5).map(lambda parts: "/" + "/".join(parts))))
def test_a_template_is_its_own_template(path):
    made = Templates(["/v1/files/{name}"])
    assert made(made(path)) == made(path)
