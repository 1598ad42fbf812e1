"""Where a client on this machine finds the service."""

from features.settings.fields import Settings

__all__ = ["address"]


def address(settings: Settings) -> str:
    """Where a client on this machine finds the service."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)  # noqa: S104 - compared, not bound
    return f"http://[{host}]:{settings.port}" if ":" in host else f"http://{host}:{settings.port}"
