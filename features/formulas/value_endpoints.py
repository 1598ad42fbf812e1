"""Which calls make the product's value: calls to the endpoints that the setting ``value_endpoints`` names."""

from collections.abc import Sequence

import ibis
import ibis.expr.types as ir

__all__ = ["is_value_endpoint"]


def is_value_endpoint(method: ir.StringValue, endpoint: ir.StringValue, named: Sequence[str]) -> ir.BooleanValue:
    """Whether one of ``named`` is this endpoint: a route with any method, or a method and a route.

    Routes are compared as the log has them, with their placeholders (``/v1/orders/{id}``); methods in any case.

    >>> table = ibis.table({"method": "string", "endpoint": "string"})
    >>> is_value_endpoint(table.method, table.endpoint, ["POST /v1/orders", "/v1/payments"]).type().is_boolean()
    True
    """
    parts = sorted({tuple(name.split(None, 1)) for name in named if name.strip()})
    routes = [part[0] for part in parts if len(part) == 1]
    is_named = endpoint.isin(routes) if routes else ibis.literal(False)
    for wanted, route in (part for part in parts if len(part) == 2):
        is_named = is_named | ((method.upper() == wanted.upper()) & (endpoint == route.strip()))
    return is_named
