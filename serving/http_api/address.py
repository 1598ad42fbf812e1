"""Where a client on this machine finds the service."""

from features.settings.fields import Settings

__all__ = ["PASSING_FOLDER", "address"]

PASSING_FOLDER = "BELLWETHER_PASSING_FOLDER"
"""Variable that names the folder of what the service keeps while it runs, as its sockets; it removes it at its end."""


def address(settings: Settings) -> str:
    """Where a client on this machine finds the service."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)  # noqa: S104 - compared, not bound
    return f"http://[{host}]:{settings.port}" if ":" in host else f"http://{host}:{settings.port}"
