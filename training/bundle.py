"""The bundle: everything serving needs to score with one model, verified before any parser sees a byte."""

import hashlib
import json
import math
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from features.exceptions import DependencyError, InputError, listed

if TYPE_CHECKING:
    import lightgbm as lgb

__all__ = [
    "Bundle",
    "BundleError",
    "Calibration",
    "Column",
    "Comparison",
    "Golden",
    "Verdict",
    "check_apart",
    "design_matrix",
    "load_booster",
    "matrix",
    "read",
    "write",
]

_FILES = ("model.txt", "calibration.json", "bundle.json")
_MANIFEST = "manifest.json"
_GOLDEN_TOLERANCE = 1e-9
_APART_SECONDS = 120
_COMPANIONS = ("pandas", "sklearn", "matplotlib", "dask", "graphviz", "pyarrow", "cffi")
OTHER = "(other)"


class BundleError(DependencyError):
    """A bundle that is missing, damaged, or does not do what it did when it was made."""


@dataclass(frozen=True)
class Column:
    """One model column: a numeric feature, or an indicator that a category has this ``value``.

    ``value`` is None for a number and :data:`OTHER` for every value outside the vocabulary. A null category sets no
    indicator.
    """

    name: str
    feature: str
    value: str | None = None


@dataclass(frozen=True)
class Calibration:
    """Probability = 1 / (1 + exp(-(slope * margin + intercept))): a monotone map of the margin (Platt, 1999)."""

    method: str
    slope: float
    intercept: float

    def probability(self, margin: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Calibrated probability of each margin."""
        scaled = np.clip(self.slope * np.asarray(margin, dtype=np.float64) + self.intercept, -700.0, 700.0)
        return np.asarray(1.0 / (1.0 + np.exp(-scaled)))


@dataclass(frozen=True)
class Comparison:
    """Model minus rival on the same test rows, with its paired account-bootstrap 95 % interval."""

    rival: str
    metric: str
    model: float
    other: float
    difference: float
    low: float
    high: float


@dataclass(frozen=True)
class Verdict:
    """What the judgement found: reasons to refuse promotion, and what else a person should know."""

    refusals: tuple[str, ...]
    remarks: tuple[str, ...]
    champion: str | None = None


@dataclass(frozen=True)
class Golden:
    """Rows with known margins: a loaded model must give these again."""

    features: Mapping[str, tuple[Any, ...]]
    margins: tuple[float, ...]


@dataclass(frozen=True)
class Bundle:
    """One model with what it takes to use it.

    Attributes
    ----------
    features, kinds
        Features it reads, in service order, and the kind of each (``float``, ``int`` or ``category``).
    vocabularies
        Category feature to the values that have an indicator column.
    columns
        Model columns, in the booster's order.
    left_out
        Feature of the service to the reason why the model does not use it.
    bands
        ``high`` and ``medium``: the smallest probability in the band.
    statistics
        Feature to what it looked like over fitting, for later comparison.
    spans
        ``fitting``, ``test`` and ``registered``: first and last cutoff of each.
    metrics, comparisons, verdict
        Of the model that was judged: the same recipe, fitted on the fitting cutoffs alone.
    recipe
        Booster parameters; together with a dataset they make the model again.
    fingerprint
        SHA-256 of the dataset's content.
    declared
        The metrics and external tables the service was made of beside the built-in catalogue, as declared.
    """

    target: str
    title: str
    service: str
    horizon_days: int
    lead_days: int
    features: tuple[str, ...]
    kinds: Mapping[str, str]
    vocabularies: Mapping[str, tuple[str, ...]]
    columns: tuple[Column, ...]
    left_out: Mapping[str, str]
    bands: Mapping[str, float]
    calibration: Calibration
    statistics: Mapping[str, Mapping[str, float]]
    golden: Golden
    spans: Mapping[str, tuple[str, str]]
    metrics: Mapping[str, float]
    comparisons: tuple[Comparison, ...]
    verdict: Verdict
    recipe: Mapping[str, float]
    rounds: int
    fingerprint: str
    versions: Mapping[str, str]
    commit: str | None
    model_text: str
    declared: Mapping[str, Any] = field(default_factory=dict)


def write(bundle: Bundle, folder: Path) -> str:
    """Write the bundle's files into ``folder`` and return the SHA-256 of its manifest, which names the bundle."""
    content = asdict(bundle)
    parts = {
        "model.txt": content.pop("model_text"),
        "calibration.json": _json(content.pop("calibration")),
        "bundle.json": _json(content),
    }
    folder.mkdir(parents=True, exist_ok=True)
    manifest = {}
    for name, text in parts.items():
        data = text.encode()
        (folder / name).write_bytes(data)
        manifest[name] = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
    data = _json(manifest).encode()
    (folder / _MANIFEST).write_bytes(data)
    return hashlib.sha256(data).hexdigest()


def read(folder: Path, *, sha256: str) -> Bundle:
    """Read a bundle whose manifest has this SHA-256.

    Raises
    ------
    BundleError
        Naming the file that is missing or differs; nothing was parsed then.
    """
    manifest_data = _verified(folder / _MANIFEST, sha256=sha256, size=None)
    manifest = json.loads(manifest_data)
    if sorted(manifest) != sorted(_FILES):
        raise BundleError(f"{folder / _MANIFEST} lists {listed(manifest)}; a bundle has {listed(_FILES)}. {_AGAIN}")
    data = {
        name: _verified(folder / name, sha256=entry["sha256"], size=entry["size"]) for name, entry in manifest.items()
    }
    try:
        content = json.loads(data["bundle.json"])
        calibration = Calibration(**json.loads(data["calibration.json"]))
        return Bundle(**_typed(content), calibration=calibration, model_text=data["model.txt"].decode())
    except (TypeError, KeyError, ValueError) as error:
        raise BundleError(f"The bundle in {folder} was written by another version: {error}. {_AGAIN}") from error


def load_booster(bundle: Bundle) -> "lgb.Booster":
    """The booster of a bundle that :func:`read` verified, checked on its golden rows.

    A truncated model text aborts the process inside LightGBM: verify first, always.

    Raises
    ------
    BundleError
        When columns or margins differ from those the bundle was made with.
    """
    import lightgbm as lgb

    try:
        booster = lgb.Booster(model_str=bundle.model_text)
    except lgb.basic.LightGBMError as error:
        raise BundleError(f"LightGBM cannot read the {bundle.target} model: {error}. {_AGAIN}") from error
    names = tuple(column.name for column in bundle.columns)
    if tuple(booster.feature_name()) != names:
        raise BundleError(f"The columns of the {bundle.target} model are not those of its bundle. {_AGAIN}")
    margins = np.asarray(booster.predict(matrix(bundle, bundle.golden.features), raw_score=True))
    difference = np.abs(margins - np.asarray(bundle.golden.margins))
    if difference.size == 0 or not float(difference.max()) <= _GOLDEN_TOLERANCE:
        raise BundleError(
            f"The {bundle.target} model gives other margins than when it was made on "
            f"{int((difference > _GOLDEN_TOLERANCE).sum())} of {difference.size} golden rows. {_AGAIN}"
        )
    return booster


def check_apart(folder: Path, *, sha256: str) -> None:
    """Load the bundle in a process of its own, so that a model that kills its process kills that one.

    Raises
    ------
    BundleError
        When the bundle does not verify, load within two minutes, or give its golden margins.
    """
    # What LightGBM would import beside itself takes three quarters of the time; a None there reads as not installed.
    script = (
        f"import sys; sys.path[:0] = [sys.argv[3]]; sys.modules.update(dict.fromkeys({_COMPANIONS!r}));"
        "from pathlib import Path; from training import bundle as b;"
        "b.load_booster(b.read(Path(sys.argv[1]), sha256=sys.argv[2]))"
    )
    room = Path(__file__).resolve().parents[1]
    command = [sys.executable, "-c", script, str(folder), sha256, str(room)]
    try:
        done = subprocess.run(  # noqa: S603 - our own interpreter and script
            command, capture_output=True, encoding="utf-8", errors="replace", check=False, timeout=_APART_SECONDS
        )
    except subprocess.TimeoutExpired as error:
        raise BundleError(f"The bundle in {folder} does not load within {_APART_SECONDS} seconds. {_AGAIN}") from error
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise BundleError(f"The bundle in {folder} does not load: {last.removeprefix('training.bundle.BundleError: ')}")


def matrix(bundle: Bundle, columns: Mapping[str, Any]) -> npt.NDArray[np.float64]:
    """Rows by model columns, from feature columns.

    Raises
    ------
    InputError
        When a feature is missing or infinite.
    """
    return design_matrix(bundle.columns, columns)


def design_matrix(layout: Sequence[Column], columns: Mapping[str, Any]) -> npt.NDArray[np.float64]:
    """Rows by model columns: numbers as they are, nulls as nan, categories as indicators.

    Raises
    ------
    InputError
        When a feature is missing or infinite: LightGBM would take infinity in silence.
    """
    missing = sorted({column.feature for column in layout} - set(columns))
    if missing:
        raise InputError(f"{len(missing)} features the model reads are missing: {listed(missing)}. Build them first.")
    rows = len(next(iter(columns.values()))) if columns else 0
    filled = np.empty((rows, len(layout)), dtype=np.float64, order="F")
    values: dict[str, npt.NDArray[Any]] = {}
    known: dict[str, npt.NDArray[np.bool_]] = {}
    for place, column in enumerate(layout):
        raw = columns[column.feature]
        if column.value is None:
            filled[:, place] = np.asarray(raw, dtype=np.float64)
            continue
        if column.feature not in values:
            values[column.feature] = _words(raw)
            known[column.feature] = values[column.feature] == ""
        if column.value == OTHER:
            filled[:, place] = ~known[column.feature]
        else:
            found = values[column.feature] == column.value
            known[column.feature] = known[column.feature] | found
            filled[:, place] = found
    infinite = [layout[place].name for place in np.flatnonzero(np.isinf(filled).any(axis=0)).tolist()]
    if infinite:
        raise InputError(f"{len(infinite)} features hold infinite values: {listed(infinite)}. Build them again.")
    return filled


_AGAIN = "Train and promote a model again, or go back with `bellwether promote --version V`."


def _words(raw: Sequence[Any]) -> npt.NDArray[Any]:
    """Category values as an array of text in which null is empty."""
    return np.array([value if isinstance(value, str) else "" for value in raw], dtype=object)


def _verified(path: Path, *, sha256: str, size: int | None) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BundleError(f"{path} cannot be read: {error.strerror}. {_AGAIN}") from error
    if hashlib.sha256(data).hexdigest() != sha256 or (size is not None and len(data) != size):
        raise BundleError(f"{path} is not the file the model was registered with (its SHA-256 differs). {_AGAIN}")
    return data


def _json(value: object) -> str:
    return json.dumps(_plain(value), sort_keys=True, indent=1, allow_nan=False)


def _plain(value: Any) -> Any:
    """JSON has no nan: a missing number becomes null."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _typed(content: dict[str, Any]) -> dict[str, Any]:
    golden = content["golden"]
    verdict = content["verdict"]
    return {
        **content,
        "features": tuple(content["features"]),
        "vocabularies": {name: tuple(values) for name, values in content["vocabularies"].items()},
        "columns": tuple(Column(**column) for column in content["columns"]),
        "golden": Golden(
            {name: tuple(values) for name, values in golden["features"].items()}, tuple(golden["margins"])
        ),
        "spans": {name: tuple(span) for name, span in content["spans"].items()},
        "comparisons": tuple(Comparison(**row) for row in content["comparisons"]),
        "verdict": Verdict(tuple(verdict["refusals"]), tuple(verdict["remarks"]), verdict["champion"]),
    }
