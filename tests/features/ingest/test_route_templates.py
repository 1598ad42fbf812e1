import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from features.exceptions import SettingsError
from features.ingest.route_templates import Templates, template


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
        ("/v1/users/ada%40example.org", "/v1/users/{email}"),
        ("/v1/calls/+4930123456789", "/v1/calls/{phone}"),
        ("/v1/calls/%2B49%2030%20123456789", "/v1/calls/{phone}"),
        ("/v1/calls/030-123-456-789", "/v1/calls/{phone}"),
        ("/v1/calls/(030) 123 4567", "/v1/calls/{phone}"),
        ("/v1/calls/+123456789012345", "/v1/calls/{phone}"),
        ("/v1/calls/+1234567890123456", "/v1/calls/{id}"),
        ("/v1/years/2024-2025", "/v1/years/2024-2025"),
        ("/v1/numbers/030123456789", "/v1/numbers/{id}"),
        ("/v1/days/20260629/2026-06-29T10:00:00Z", "/v1/days/{date}/{date}"),
        ("/v1/keys/sk_live_abcdefgh", "/v1/keys/{id}"),
        ("/v1/keys/key-1a2b", "/v1/keys/{id}"),
        ("/v1/keys/acme_prod_9f8e7d6c5b", "/v1/keys/{id}"),
        ("/v1/oauth/token-v2", "/v1/oauth/token-v2"),
        ("/v1/api-keys/key-rotation", "/v1/api-keys/key-rotation"),
        ("/v1/notes/" + "x" * 101, "/v1/notes/{text}"),
        ("/v1/notes/" + "x" * 100, "/v1/notes/" + "x" * 100),
        ("/v1/orders/{order_id}", "/v1/orders/{order_id}"),
        ("/v1/oauth2/token", "/v1/oauth2/token"),
        ("/v1/checkout-sessions-for-version-2", "/v1/checkout-sessions-for-version-2"),
        ("/v1/b&api_key=key-secret", "/v1/b"),
        ("/v1/x%26key=abc", "/v1/x"),
        ("/v1/x%2526key%253Dabc/more", "/v1/x"),
        ("/v1/x%253Ftoken=abc", "/v1/x"),
        ("/v1/x%252523abc", "/v1/x"),
        ("/v1/r&d/1", "/v1/r&d/{id}"),
        ("/v1/R%26D/a=b", "/v1/R%26D/a=b"),
        ("", "/"),
    ],
)
def test_takes_out_what_names_one_thing(path, expected):
    assert template(path) == expected


def test_declared_patterns_come_first_in_their_order():
    patterns = ["/v1/files/latest", "/v1/files/{name}", "/v1/raw/{rest...}"]
    paths = ["/v1/files/latest", "/v1/files/report.pdf", "/v1/raw/a/b/c", "/v1/files"]
    assert [template(path, patterns) for path in paths] == [*patterns, "/v1/files"]


@pytest.mark.parametrize("part", ["%40", "a@", "1-", "+1", "a_", "a1-", "(", "0.", "Z9_", "&", "%25", "%26a"])
def test_a_long_path_costs_no_more_than_its_length(part):
    # Patterns that back-track would be at this for years.
    assert template("/" + part * 200_000) == "/{text}"
    assert template("/" + (part * 100)[:100]) is not None


def test_a_pattern_without_a_slash_is_refused():
    with pytest.raises(SettingsError, match=r"'files/\{name\}' does not start with a slash"):
        Templates(["files/{name}"])


segments = st.one_of(
    st.text(max_size=8), st.integers().map(str), st.uuids().map(str), st.dates().map(str), st.emails(), st.just("{id}")
)


@given(st.one_of(st.text(), st.lists(segments, max_size=5).map(lambda parts: "/" + "/".join(parts))))
@example("/a;b/;c")
@example(";")
def test_a_template_is_its_own_template(path):
    made = Templates(["/v1/files/{name}"])
    assert made(made(path)) == made(path)
