"""The real log: who of a shared supercomputer's users fell silent, judged by the reference protocol of the data.

Source of the log: the Parallel Workloads Archive (D. Feitelson and others); contributed by the San Diego Supercomputer
Center.
"""

import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from features.home.home import Home
from features.settings.fields import Settings
from features.settings.load import load_settings
from features.start import start
from features.windows import DAY, cutoffs_between, utc
from tests.benchmarks.row import Row

if TYPE_CHECKING:
    from training.judging.judge import Judgement

MAPPING = Path(__file__).parents[1] / "features" / "sdsc.toml"
LOG = Path("sdsc-ds-2004") / "jobs.csv.gz"
FIRST, END = utc(2004, 5, 30), utc(2005, 4, 1)  # day 60 of the log, and its end
NOW = END + 60 * DAY  # the longest job has ended
LEAST_BELOW_LOGISTIC = -0.005
ARRIVALS = ("known when submitted", "known when ended")


@dataclass(frozen=True)
class Line:
    """One score on the test rows: figure and interval, and by how much the model is ahead in ROC-AUC."""

    name: str
    roc_auc: tuple[float, float, float]
    pr_auc: tuple[float, float, float]
    ahead: tuple[float, float, float] | None


def prepared(root: Path, data: Path, *, arrival: str = ARRIVALS[0]) -> Settings:
    """Take the log in by its mapping file and build the features of every Monday of the protocol."""
    from features.build.build import build
    from features.feature_store.store import open_store
    from features.ingest.ingest import ingest
    from features.rollup.count import roll_up

    config = root / "sdsc.toml"
    root.mkdir(parents=True, exist_ok=True)
    config.write_text(mapping(arrival), encoding="utf-8")
    settings = load_settings(config=config, home=root / "home")
    ingest(Home(settings), now=NOW, events=[data / LOG], complete_until=END)
    roll_up(Home(settings))
    build(Home(settings), list(cutoffs_between(FIRST, END)), now=NOW)
    open_store(Home(settings)).apply()
    return settings


def mapping(arrival: str) -> str:
    """The mapping file, with the arrival time it shows as a remark where that is asked for."""
    lines = MAPPING.read_text(encoding="utf-8").splitlines()
    if arrival == ARRIVALS[0]:
        return "\n".join(lines)
    kept = [line for line in lines if not line.startswith("ingested_at =")]
    return "\n".join(line.removeprefix("# ") if line.startswith("# ingested_at =") else line for line in kept)


def judgement_of(settings: Settings) -> "Judgement":
    """The model of `bellwether train --target churn_inactivity`, judged once."""
    from training.judging.judge import fit_and_judge
    from training.labels.dataset import load
    from training.labels.targets import target

    return fit_and_judge(load(Home(settings), target("churn_inactivity", Home(settings))), Home(settings))


def lines(judgement: "Judgement", *, seed: int) -> Iterator[Line]:
    """The model, both rules, the logistic regression, and the mean of model and regression; model first."""
    import numpy as np

    from training.judging.baselines import LOGISTIC
    from training.judging.evaluate import Judged, account_weights, compare, interval, pr_auc, roc_auc

    judged = judgement.rows
    accounts, numbers = np.unique(judged["account_id"].to_numpy(dtype=str), return_inverse=True)
    rows = Judged(judged["label"].to_numpy(dtype=np.float64), numbers.astype(np.int64), len(accounts))
    weights = account_weights(len(accounts), repetitions=1000, seed=seed)
    mean = (judgement.scores["model"] + judgement.scores[LOGISTIC]) / 2
    scores = {**judgement.scores, "mean of model and regression": mean}
    rivals = {name: score for name, score in scores.items() if name != "model"}
    found = {
        row.rival: row
        for row in compare(rows, weights, model=scores["model"], rivals=rivals)
        if row.metric == "roc_auc"
    }
    for name, score in scores.items():
        row = found.get(name)
        yield Line(
            name,
            (roc_auc(rows.label, score), *interval(rows, weights, score, roc_auc)),
            (pr_auc(rows.label, score), *interval(rows, weights, score, pr_auc)),
            None if row is None else (row.difference, row.low, row.high),
        )


def rows() -> Iterator[Row]:
    """Every line, for both arrival times; the bar is on the first: above the rule, and not below the regression."""
    from training.judging.baselines import LOGISTIC, RECENCY

    folder = os.environ.get("BELLWETHER_SHARED_DATA")
    if not folder:
        yield Row("real log", "BELLWETHER_SHARED_DATA does not name the folder of the real logs", "-", None)
        return
    for arrival in ARRIVALS:
        with tempfile.TemporaryDirectory(prefix="bench-real-") as scratch:
            settings = prepared(Path(scratch), Path(folder), arrival=arrival)
            judgement = judgement_of(settings)
        found = list(lines(judgement, seed=settings.seed))
        by_name = {line.name: line for line in found}
        rule, regression = by_name[RECENCY], by_name[LOGISTIC]
        assert rule.ahead is not None
        assert regression.ahead is not None
        held = rule.ahead[0] > 0 and regression.ahead[0] >= LEAST_BELOW_LOGISTIC
        judged = judgement.rows
        about = {
            "rows": len(judged),
            "accounts": int(judged["account_id"].nunique()),
            "base_rate": float(judged["label"].mean()),
            "rounds": judgement.model.rounds,
        }
        for line in found:
            is_model = line.name == "model"
            yield Row(
                f"real log, {arrival}: {line.name}",
                f"ROC-AUC {_range(line.roc_auc)}, PR-AUC {_range(line.pr_auc)}"
                + ("" if line.ahead is None else f", model ahead by {_range(line.ahead, sign='+')}"),
                f"above the rule, at most {-LEAST_BELOW_LOGISTIC} below the regression" if is_model else "-",
                held if is_model else None,
                {**about, "line": line} if is_model else {"line": line},
            )


def markdown(data: Path) -> Iterator[str]:
    """The table of ``training/README.md``."""
    for arrival in ARRIVALS:
        with tempfile.TemporaryDirectory(prefix="bench-real-") as scratch:
            settings = prepared(Path(scratch), data, arrival=arrival)
            judgement = judgement_of(settings)
        judged = judgement.rows
        first, last = judgement.judged_cutoffs[0], judgement.judged_cutoffs[-1]
        yield (
            f"Jobs {arrival}: {len(judged):,} judged rows, {judged['account_id'].nunique()} accounts, base rate "
            f"{judged['label'].mean():.3f}, cutoffs {first:%Y-%m-%d} to {last:%Y-%m-%d}."
        )
        yield ""
        yield "| score | ROC-AUC | PR-AUC | model ahead in ROC-AUC by |"
        yield "|---|---|---|---|"
        for line in lines(judgement, seed=settings.seed):
            ahead = "" if line.ahead is None else _range(line.ahead, sign="+")
            yield f"| {line.name} | {_range(line.roc_auc)} | {_range(line.pr_auc)} | {ahead} |"
        yield ""


def _range(figures: tuple[float, float, float], *, sign: str = "") -> str:
    value, low, high = (f"{figure:{sign}.3f}" for figure in figures)
    return f"{value} [{low}, {high}]"


if __name__ == "__main__":
    start()
    for text in markdown(Path(os.environ["BELLWETHER_SHARED_DATA"])):
        print(text)
