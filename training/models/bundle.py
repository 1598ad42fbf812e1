"""The bundle: everything serving needs to score with one model, verified before any parser sees a byte."""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from features.exceptions import DependencyError, listed

if TYPE_CHECKING:
    pass

__all__ = ["Bundle", "BundleError", "Calibration", "Column", "Comparison", "Golden", "Verdict", "read", "write"]


_FILES = ("model.txt", "calibration.json", "bundle.json")
_MANIFEST = "manifest.json"
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
        raise BundleError(
            f"{folder / _MANIFEST} lists {listed(manifest)}; a bundle has {listed(_FILES)}. {TRAIN_AGAIN}"
        )
    data = {
        name: _verified(folder / name, sha256=entry["sha256"], size=entry["size"]) for name, entry in manifest.items()
    }
    try:
        content = json.loads(data["bundle.json"])
        calibration = Calibration(**json.loads(data["calibration.json"]))
        return Bundle(**_typed(content), calibration=calibration, model_text=data["model.txt"].decode())
    except (TypeError, KeyError, ValueError) as error:
        raise BundleError(f"The bundle in {folder} was written by another version: {error}. {TRAIN_AGAIN}") from error


TRAIN_AGAIN = "Train and promote a model again, or go back with `bellwether promote --version V`."


def _verified(path: Path, *, sha256: str, size: int | None) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BundleError(f"{path} cannot be read: {error.strerror}. {TRAIN_AGAIN}") from error
    if hashlib.sha256(data).hexdigest() != sha256 or (size is not None and len(data) != size):
        raise BundleError(f"{path} is not the file the model was registered with (its SHA-256 differs). {TRAIN_AGAIN}")
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
