"""Fills in pages whose text lies in a template beside the module that knows the values."""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jinja2 import Environment, Template

__all__ = ["template"]


def template(path: Path) -> "Template":
    """The template at ``path``; what it puts into HTML (``*.html.j2``) is escaped, and a name it lacks is an error."""
    return _environment(path.parent).get_template(path.name)


@cache
def _environment(folder: Path) -> "Environment":
    from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

    return Environment(
        loader=FileSystemLoader(folder),
        autoescape=select_autoescape(["html.j2"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
