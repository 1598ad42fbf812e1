"""Loads a booster only after its bytes and its golden rows were checked, a candidate in a process of its own."""

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from features.exceptions import InputError
from training.models.bundle import TRAIN_AGAIN, Bundle, BundleError
from training.models.matrix import matrix

if TYPE_CHECKING:
    import lightgbm as lgb

__all__ = ["check_apart", "load_booster", "load_model"]

_GOLDEN_TOLERANCE = 1e-9
_APART_SECONDS = 120
_COMPANIONS = ("pandas", "sklearn", "matplotlib", "dask", "graphviz", "pyarrow", "cffi")


def load_model(bundle: Bundle) -> "lgb.Booster | None":
    """The booster of a bundle that :func:`read` verified, checked on its golden rows; None of a rule, checked as well.

    Raises
    ------
    BundleError
        When columns or margins differ from those the bundle was made with.
    """
    if bundle.rule is None:
        return load_booster(bundle)
    try:
        margins = bundle.rule.margin(bundle.golden.features)
    except InputError as error:
        raise BundleError(f"The {bundle.target} rule does not fit its golden rows: {error} {TRAIN_AGAIN}") from error
    _check_golden(bundle, margins)
    return None


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
        raise BundleError(f"LightGBM cannot read the {bundle.target} model: {error}. {TRAIN_AGAIN}") from error
    names = tuple(column.name for column in bundle.columns)
    if tuple(booster.feature_name()) != names:
        raise BundleError(f"The columns of the {bundle.target} model are not those of its bundle. {TRAIN_AGAIN}")
    golden = bundle.golden.features
    of_booster = np.asarray(booster.predict(matrix(bundle, golden), raw_score=True))
    margins = bundle.stack.margin(of_booster, None if bundle.scorecard is None else bundle.scorecard.margin(golden))
    _check_golden(bundle, margins)
    return booster


def _check_golden(bundle: Bundle, margins: npt.NDArray[np.float64]) -> None:
    """Go on only when these are the margins that the bundle was made with.

    Raises
    ------
    BundleError
        When they are not.
    """
    difference = np.abs(margins - np.asarray(bundle.golden.margins))
    if difference.size == 0 or not float(difference.max()) <= _GOLDEN_TOLERANCE:
        raise BundleError(
            f"The {bundle.target} {'model' if bundle.rule is None else 'rule'} gives other margins than when it was "
            f"made on {int((difference > _GOLDEN_TOLERANCE).sum())} of {difference.size} golden rows. {TRAIN_AGAIN}"
        )


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
        "from pathlib import Path; from training.models import bundle, verify;"
        "verify.load_model(bundle.read(Path(sys.argv[1]), sha256=sys.argv[2]))"
    )
    room = Path(__file__).resolve().parents[2]
    command = [sys.executable, "-c", script, str(folder), sha256, str(room)]
    try:
        done = subprocess.run(  # noqa: S603 - our own interpreter and script
            command, capture_output=True, encoding="utf-8", errors="replace", check=False, timeout=_APART_SECONDS
        )
    except subprocess.TimeoutExpired as error:
        raise BundleError(
            f"The bundle in {folder} does not load within {_APART_SECONDS} seconds. {TRAIN_AGAIN}"
        ) from error
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise BundleError(
            f"The bundle in {folder} does not load: {last.removeprefix('training.models.bundle.BundleError: ')}"
        )
