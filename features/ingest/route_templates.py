"""Route templates: what stays of a request path when everything that names one thing is taken out."""

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache

from features.exceptions import SettingsError

__all__ = ["Templates", "template"]


_NAMED = re.compile(r"\{[^{}/]*\}|:[A-Za-z_][A-Za-z0-9_]*|<[^<>/]*>")
_DATE = re.compile(
    r"\d{4}-\d{2}-\d{2}(?:[T ][0-9:.]+(?:Z|[+-]\d{2}:?\d{2})?)?|(?:19|20)\d{2}(?:0[1-9]|1[0-2])(?:[0-2]\d|3[01])"
)
_UUID = re.compile(r"[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}", re.IGNORECASE)
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[A-Za-z]{2,}")
_PHONE = re.compile(r"(?:\+[\d().\s-]*|[(\d](?=[\d().\s-]*[().\s-])[\d().\s-]*)\d")
_NUMBER = re.compile(r"[+-]?\d+(?:[.,]\d+)*")
_HASH = re.compile(r"(?=[^0-9]*[0-9])[0-9a-f]{8,}", re.IGNORECASE)
_LONG_ID = re.compile(r"(?=(?:[^0-9]*[0-9]){3})[A-Za-z0-9_~=.-]{20,}")
_PREFIXED_ID = re.compile(r"(?P<prefix>[A-Za-z]{1,8})[_-](?=[A-Za-z]*[0-9])[A-Za-z0-9]{6,}")
_KEY = re.compile(
    r"(?:[sprw]k)_(?:live|test)_[A-Za-z0-9]+"
    r"|(?:api[_-]?)?(?:key|token|secret)[_-](?!v\d+$)(?=[A-Za-z]*[0-9])[A-Za-z0-9]+"
    r"|(?:[A-Za-z]{1,8}[_-]){2,3}(?=(?:[A-Za-z]*[0-9]){2})[A-Za-z0-9]{8,}",
    re.IGNORECASE,
)
_LONGEST_SEGMENT = 100  # no route has a longer name; it also bounds what the patterns can cost
_PHONE_DIGITS = range(9, 16)  # ITU-T E.164 allows 15; fewer than 9 may be a range of years
# Also one that a client has encoded by mistake, even twice, or begun without its question mark.
_QUERY = re.compile(r"[?#]|%(?:25)*(?:3F|23)|(?:&|%(?:25)*26)[^/&=]{0,100}?(?:=|%(?:25)*3D)", re.IGNORECASE)
_ORIGIN = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,20}://[^/?#]*")

_RULES = (
    (_DATE, "{date}"),
    (_UUID, "{uuid}"),
    (_NUMBER, "{id}"),
    (_HASH, "{hash}"),
    (_PREFIXED_ID, "{id}"),
    (_KEY, "{id}"),
    (_LONG_ID, "{hash}"),
)


class Templates:
    """Turns one path into its template; a pure function of the path and the declared patterns.

    Parameters
    ----------
    patterns
        Extra templates, most specific first: ``/v1/files/{name}`` takes in every path of that shape, and
        a last ``{rest...}`` takes in any number of segments.

    Raises
    ------
    SettingsError
        When a pattern does not start with a slash.
    """

    def __init__(self, patterns: Iterable[str] = ()) -> None:
        self._patterns = tuple((_compiled(pattern), pattern) for pattern in patterns)
        self._templates = frozenset(pattern for _, pattern in self._patterns)

    def __call__(self, path: str) -> str:
        """The template of ``path``; a template is its own template.

        >>> Templates()("/v1/orders/981?full=1")
        '/v1/orders/{id}'
        >>> Templates(["/v1/files/{name}"])("/v1/files/report.pdf")
        '/v1/files/{name}'
        """
        plain = path.strip()
        origin = _ORIGIN.match(plain)
        route = _QUERY.split(plain[origin.end() if origin else 0 :], maxsplit=1)[0]
        plain = _without_tail("/".join(part.partition(";")[0] for part in route.split("/"))) or "/"
        if plain in self._templates:
            return plain
        for shape, pattern in self._patterns:
            if shape.fullmatch(plain):
                return pattern
        return "/".join(_segment(part) for part in plain.split("/"))


def template(path: str, patterns: Sequence[str] = ()) -> str:
    """The template of one path.

    >>> template("/v1/users/ada@example.org/keys/0f8fad5b-d9cb-469f-a165-70867728950e")
    '/v1/users/{email}/keys/{uuid}'
    """
    return Templates(patterns)(path)


def _without_tail(path: str) -> str:
    """The path without slashes and spaces at its end."""
    end = len(path)
    while end and (path[end - 1] == "/" or path[end - 1].isspace()):
        end -= 1
    return path[:end]


@lru_cache(maxsize=65_536)
def _segment(text: str) -> str:
    if len(text) > _LONGEST_SEGMENT:
        return "{text}"
    if not text or _NAMED.fullmatch(text):
        return text
    plain = text.replace("%40", "@").replace("%20", " ").replace("%2B", "+").replace("%2b", "+")
    if _EMAIL.fullmatch(plain):
        return "{email}"
    if _PHONE.fullmatch(plain) and sum(map(str.isdigit, plain)) in _PHONE_DIGITS and not _DATE.fullmatch(text):
        return "{phone}"
    return next((name for rule, name in _RULES if rule.fullmatch(text)), text)


def _compiled(pattern: str) -> re.Pattern[str]:
    if not pattern.startswith("/"):
        raise SettingsError(
            f"The path pattern {pattern!r} does not start with a slash. Write it as /v1/files/{{name}}."
        )
    shape = "/".join(
        "[^/]+" if re.fullmatch(r"\{[^{}/]*\}", part) else re.escape(part) for part in pattern.rstrip("/").split("/")
    )
    if re.search(r"/\{[^{}/]*\.\.\.\}$", pattern):
        shape = shape.removesuffix("[^/]+") + ".+"
    return re.compile(shape)
