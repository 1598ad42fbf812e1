"""Keys of accounts and values of features in the online store, as Feast writes them."""

from collections.abc import Iterable, Sequence
from typing import Any

from features.feature_store.fast_import import without_type_checks
from features.feature_store.views import KEY_VERSION
from features.offline.files import JOIN_KEY

with without_type_checks():
    from feast.infra.key_encoding_utils import serialize_entity_key
    from feast.protos.feast.types.EntityKey_pb2 import EntityKey
    from feast.protos.feast.types.Value_pb2 import Value

__all__ = ["entity_keys", "stored_values", "whole_number"]

_FIELDS = {"float": "double_val", "int": "int64_val", "category": "string_val"}


def entity_keys(accounts: Sequence[str]) -> list[bytes]:
    """The accounts' keys in the online store."""
    return [
        serialize_entity_key(
            EntityKey(join_keys=[JOIN_KEY], entity_values=[Value(string_val=account)]),
            entity_key_serialization_version=KEY_VERSION,
        )
        for account in accounts
    ]


def stored_values(values: Iterable[float | str | None], kind: str) -> list[bytes]:
    """What the online store holds of values of one kind (``float``, ``int``, ``category``); null is nothing."""
    empty, field = b"", _FIELDS[kind]
    given: Iterable[dict[str, Any]] = ({} if value is None else {field: value} for value in values)
    return [Value(**value).SerializeToString() if value else empty for value in given]


def whole_number(value: int) -> bytes:
    """An Int64 value of the online store."""
    return bytes(Value(int64_val=value).SerializeToString())
