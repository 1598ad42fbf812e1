"""Compiled expressions in a file: a new process need not compile what no change of code has touched.

Compiling every expression of a build takes seconds, more than building one cutoff of a small home. The file says
what it was compiled from: the code of this room, the versions of the compiler, and the arguments. Whatever differs, or
cannot be read, is compiled again.
"""

import sys
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from types import FunctionType, ModuleType

import ibis

import features
from features.engine.prepared import Prepared
from features.fingerprint import digest
from features.storage.state_file import recall_made_from, remember

__all__ = ["compiled"]


_COMPILERS = [version(name) for name in ("ibis-framework", "sqlglot")]
_IN_THIS_PROCESS: dict[str, Mapping[str, Prepared]] = {}


def compiled(path: Path, arguments: object, make: Callable[[], Mapping[str, Prepared]]) -> Mapping[str, Prepared]:
    """What ``make`` compiles, from the file if it was compiled from the same code and arguments.

    ``arguments`` is a JSON value: all that ``make`` depends on but its code. The caller holds the lock of the store
    in whose folder ``path`` lies.

    Raises
    ------
    WorkFailedError
        When the file cannot be written.
    """
    code = [_LOADED, _COMPILERS, sorted(_standing_in(sys.modules[make.__module__]))]
    made_from = digest([make.__qualname__, arguments, code])
    if made_from not in _IN_THIS_PROCESS:
        # A process that outlived an update of its files compiles what it loaded, and signs nothing with their text.
        is_current = _files() == _LOADED
        expressions = _read(path, made_from) if is_current else None
        if expressions is None:
            expressions = make()
            if is_current:
                _write(path, made_from, expressions)
        _IN_THIS_PROCESS[made_from] = expressions
    return _IN_THIS_PROCESS[made_from]


def _write(path: Path, made_from: str, expressions: Mapping[str, Prepared]) -> None:
    texts = {name: [prepared.sql, _columns(prepared.schema)] for name, prepared in expressions.items()}
    remember(path, texts, made_from=made_from)


def _read(path: Path, made_from: str) -> Mapping[str, Prepared] | None:
    texts = recall_made_from(path, made_from)
    if texts is None:
        return None
    return {name: Prepared(sql, ibis.schema(dict(columns))) for name, (sql, columns) in texts.items()}


def _columns(schema: ibis.Schema) -> list[list[str]]:
    return [[name, str(kind)] for name, kind in schema.items()]


def _standing_in(module: ModuleType) -> set[str]:
    """What the names of a module, and of those it takes its own from, stand for: files do not tell what is replaced.

    A notebook or a test that puts another function or number in the place of one has other code.
    """
    stand_ins: set[str] = set()
    known, left = {module.__name__, __name__}, [module]
    while left:
        here = left.pop()
        values = [(name, value) for name, value in vars(here).items() if not name.startswith("__")]
        tables = [(name, table) for name, table in values if isinstance(table, dict)]
        values += [(f"{name}.{key}", value) for name, table in tables for key, value in table.items()]
        for name, value in values:
            if isinstance(value, FunctionType):
                code = value.__code__
                stand_ins.add(f"{here.__name__}.{name}: {code.co_filename}:{code.co_firstlineno}")
            elif isinstance(value, (int, float, str, tuple, Mapping)):
                text = repr(value)
                if " at 0x" not in text:  # where something lies in memory is told by no code
                    stand_ins.add(f"{here.__name__}.{name}: {text}")
            owner = getattr(value, "__module__", None) or ""
            if owner.partition(".")[0] == features.__name__ and owner not in known and owner in sys.modules:
                known.add(owner)
                left.append(sys.modules[owner])
    return stand_ins


def _files(room: Path = Path(features.__path__[0])) -> str:
    """Digest of the text of every module of this room."""
    return digest([[str(path.relative_to(room)), path.read_text("utf-8")] for path in sorted(room.rglob("*.py"))])


_LOADED = _files()
