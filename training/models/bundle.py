"""The bundle: everything serving needs to score with one model, verified before any parser sees a byte."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BeforeValidator, ConfigDict, PlainValidator, TypeAdapter, ValidationError, with_config
from pydantic_core import to_jsonable_python

from features.exceptions import DependencyError, InputError, listed
from training.models.bands import BANDS, BandRate
from training.models.rule import Rule, read_rule
from training.models.scorecard import Scorecard, read_scorecard
from training.models.stack import BOOSTER_ALONE, Stack

__all__ = [
    "Bundle",
    "BundleError",
    "Calibration",
    "Column",
    "Comparison",
    "Golden",
    "Verdict",
    "content",
    "read",
    "write",
]


OUT_OF_TIME = "out_of_time.parquet"
SCORECARD = "scorecard.json"
_MODEL, _RULE = "model.txt", "rule.json"
_FILES = (_MODEL, "calibration.json", "bundle.json")
_MANIFEST = "manifest.json"
OTHER = "(other)"
_exact = with_config(ConfigDict(extra="forbid"))


class BundleError(DependencyError):
    """A bundle that is missing, damaged, or does not do what it did when it was made."""


def _figure(value: Any) -> Any:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
        raise ValueError(f"a number or null is wanted, not {type(value).__name__}")
    return value


Figure = Annotated[float, PlainValidator(_figure)]
"""A number as the file has it: a whole one stays whole, and null, which nan is written as, is None."""


@_exact
@dataclass(frozen=True)
class Column:
    """One model column: a numeric feature, or an indicator that a category has this ``value``.

    ``value`` is None for a number and :data:`OTHER` for every value outside the vocabulary. A null category sets no
    indicator.
    """

    name: str
    feature: str
    value: str | None = None


@_exact
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


@_exact
@dataclass(frozen=True)
class Comparison:
    """Model minus rival on the same test rows, with its paired account-bootstrap 95 % interval."""

    rival: str
    metric: str
    model: Figure
    other: Figure
    difference: Figure
    low: Figure
    high: Figure


@_exact
@dataclass(frozen=True)
class Verdict:
    """What the gate said of the judged model.

    Attributes
    ----------
    answer
        ``passes`` may be promoted, ``not_shown`` only by somebody who says so, ``refused`` never.
    reason, remarks
        Why, in one or two sentences, and what else a person should know.
    champion
        Version of the champion it was compared with; None where there was none.
    judged_recipes
        How many recipes had been judged since the last promotion, this one with them.
    """

    answer: Literal["passes", "not_shown", "refused"]
    reason: str
    remarks: tuple[str, ...] = ()
    champion: str | None = None
    judged_recipes: int = 1

    @property
    def is_unproven(self) -> bool:
        """Whether, as a champion, it answers though nothing was shown: only ``promote --unproven`` takes it."""
        return self.answer == "not_shown"

    @property
    def sentences(self) -> tuple[str, ...]:
        """The reason, then the remarks."""
        return (self.reason, *self.remarks)


def _of_today(verdict: Any) -> Any:
    """A verdict as it is written today: up to version 0.2 it had refusals, or passed."""
    if not isinstance(verdict, Mapping) or "refusals" not in verdict:
        return verdict
    refusals, remarks = list(verdict["refusals"]), list(verdict.get("remarks", ()))
    reason = refusals.pop(0) if verdict["refusals"] else "It passed the gate of an earlier version."
    return {
        "answer": "refused" if verdict["refusals"] else "passes",
        "reason": reason,
        "remarks": [*refusals, *remarks],
        "champion": verdict.get("champion"),
    }


@_exact
@dataclass(frozen=True)
class Golden:
    """Rows with known margins: a loaded model must give these again."""

    features: Mapping[str, tuple[Any, ...]]
    margins: tuple[Figure, ...]


@_exact
@dataclass(frozen=True)
class Bundle:
    """One model, or one rule that answers in place of a model, with what it takes to use it.

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
    bands, band_rates
        The smallest probability of ``high`` and of ``medium``, where the band exists, and what was observed of the
        out-of-fold rows in each and in ``low``; no rates in bundles of up to version 0.2.
    statistics
        Feature to what it looked like over fitting, for later comparison.
    spans
        First and last cutoff: ``fitting`` of the newest block's, ``judged`` of all blocks, ``registered`` of the model.
    metrics, comparisons, verdict, intervals
        Of the model that was judged: the same recipe, fitted on the fitting cutoffs alone. ``intervals``: metric to its
        95 % interval.
    recipe
        Booster parameters; together with a dataset they make the model again.
    fingerprint
        SHA-256 of the dataset's content.
    stack, scorecard
        How far each half counts, and the scorecard where it does; of earlier versions the booster alone.
    rule
        The rule that answers; None for a model. A rule has no booster: no text, no rounds, no recipe.
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
    bands: Mapping[str, Figure]
    calibration: Calibration
    statistics: Mapping[str, Mapping[str, Figure]]
    golden: Golden
    spans: Mapping[str, tuple[str, str]]
    metrics: Mapping[str, Figure]
    comparisons: tuple[Comparison, ...]
    verdict: Annotated[Verdict, BeforeValidator(_of_today)]
    recipe: Mapping[str, Figure]
    rounds: int
    fingerprint: str
    versions: Mapping[str, str]
    commit: str | None
    model_text: str
    declared: Mapping[str, Any] = field(default_factory=dict)
    intervals: Mapping[str, tuple[Figure, Figure]] = field(default_factory=dict)
    band_rates: Mapping[str, BandRate] = field(default_factory=dict)
    stack: Stack = BOOSTER_ALONE
    scorecard: Scorecard | None = None
    rule: Rule | None = None

    def __post_init__(self) -> None:
        if (self.rule is not None) == bool(self.model_text):
            raise ValueError(f"it has {'neither a booster nor' if self.rule is None else 'a booster and'} a rule")
        if self.stack.has_scorecard != (self.scorecard is not None):
            has = "no scorecard" if self.scorecard is None else "a scorecard"
            raise ValueError(f"it has {has}, whose weight is {self.stack.scorecard:g}")

    @property
    def highest_band(self) -> str | None:
        """The highest band that exists above ``low``; None where scores differ too little for any."""
        return next((band for band in BANDS if band in self.bands), None)


@_exact
@dataclass(frozen=True)
class _File:
    """What the manifest says of a file."""

    sha256: str
    size: int


def write(bundle: Bundle, folder: Path, *, out_of_time: bytes | None = None) -> str:
    """Write the bundle's files into ``folder`` and return the SHA-256 of its manifest, which names the bundle.

    ``out_of_time`` is the table of out-of-time scores as :mod:`training.models.out_of_time` makes it.
    """
    fields = asdict(bundle)
    text = fields.pop("model_text").encode()
    parts: dict[str, bytes] = {
        **({_MODEL: text} if bundle.rule is None else {_RULE: bundle.rule.as_json.encode()}),
        "calibration.json": _json(fields.pop("calibration")).encode(),
    }
    del fields["scorecard"], fields["rule"]
    if bundle.scorecard is not None:
        parts[SCORECARD] = bundle.scorecard.as_json.encode()
    parts["bundle.json"] = _json(fields).encode()
    if out_of_time is not None:
        parts[OUT_OF_TIME] = out_of_time
    folder.mkdir(parents=True, exist_ok=True)
    manifest = {}
    for name, data in parts.items():
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
    data = content(folder, sha256=sha256)
    try:
        stored = json.loads(data["bundle.json"])
        parts = {"calibration": json.loads(data["calibration.json"]), "model_text": data.get(_MODEL, b"").decode()}
        if _RULE in data:
            parts["rule"] = read_rule(data[_RULE])
        if SCORECARD in data:
            parts["scorecard"] = read_scorecard(data[SCORECARD])
        bundle: Bundle = _reader(Bundle).validate_python({**stored, **parts})
    except (TypeError, ValueError, InputError) as error:
        raise _of_another_version(folder, error) from error
    return bundle


def content(folder: Path, *, sha256: str) -> dict[str, bytes]:
    """The bytes of each file of a bundle, verified.

    Raises
    ------
    BundleError
        Naming the file that is missing or differs.
    """
    manifest = _manifest(folder, _verified(folder / _MANIFEST, sha256=sha256, size=None))
    return {name: _verified(folder / name, sha256=file.sha256, size=file.size) for name, file in manifest.items()}


def _manifest(folder: Path, data: bytes) -> dict[str, _File]:
    try:
        manifest: dict[str, _File] = _reader(dict[str, _File]).validate_json(data)
    except ValueError as error:
        raise _of_another_version(folder, error) from error
    files = [_RULE if _RULE in manifest and name == _MODEL else name for name in _FILES]
    if set(manifest) - {OUT_OF_TIME, SCORECARD} != set(files):
        raise BundleError(f"{folder / _MANIFEST} lists {listed(manifest)}; a bundle has {listed(files)}. {TRAIN_AGAIN}")
    return manifest


@cache
def _reader(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def _of_another_version(folder: Path, error: Exception) -> BundleError:
    reason = str(error)
    if isinstance(error, ValidationError):  # its own words repeat what stands in the file
        reason = listed([f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors()])
    return BundleError(f"The bundle in {folder} was written by another version: {reason}. {TRAIN_AGAIN}")


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
    """JSON has no nan: a missing number becomes null."""
    return json.dumps(to_jsonable_python(value, inf_nan_mode="null"), sort_keys=True, indent=1, allow_nan=False)
