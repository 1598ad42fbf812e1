"""The bodies of the HTTP contract: what may come in, and what goes out."""

from datetime import datetime
from typing import Annotated, Any, Literal, get_type_hints

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, WithJsonSchema, create_model

from features.definitions.catalog import FAMILIES
from features.schema import ACCOUNT_ID_PATTERN
from serving.ledger.score_row import ScoreRow, columns, shown_on
from serving.scoring.freshness import Status
from training.labels.targets import TARGETS

__all__ = [
    "MAXIMUM_ACCOUNTS",
    "AccountList",
    "AccountQuery",
    "AccountSummary",
    "Model",
    "ModelComparison",
    "ModelList",
    "Problem",
    "ProblemItem",
    "Result",
    "ScoreReason",
    "ScoreRequest",
    "ScoreResponse",
    "TargetScore",
    "account_summary",
]


MAXIMUM_ACCOUNTS = 1000

AccountId = Annotated[str, StringConstraints(pattern=f"^{ACCOUNT_ID_PATTERN}$")]
# Which names are targets is said in the document; a name that is none is told so in words.
TargetName = Annotated[
    str,
    StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$"),
    WithJsonSchema({"type": "string", "enum": list(TARGETS)}),
]


def _whole(value: object) -> object:
    """JSON knows one kind of number: 5.0 is 5."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


VerdictAnswer = Literal["passes", "not_shown", "refused"]
Whole = Annotated[int, BeforeValidator(_whole)]
Word = Annotated[str, StringConstraints(min_length=1, max_length=200)]


_REQUEST_ID = Field(description="Also in the header x-request-id, and in the service's log.")


_LEAD = "Days between the cutoff and the window that a probability is about."
_HORIZON = "Length of that window: with a lead of 7 and a horizon of 30 it lies between 7 and 37 days from the cutoff."


_KIND = "Whether a model answers or a rule: what a person could count, learnt as probabilities of one feature."
_RULE = "The rule in words; null for a model."


class _Body(BaseModel):
    """Strict both ways: no field that is not declared, no number that JSON cannot hold, no silent conversion."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class ScoreRequest(_Body):
    """Which accounts to score."""

    account_ids: list[AccountId] = Field(
        min_length=1, max_length=MAXIMUM_ACCOUNTS, description="Accounts, in the order the results come back."
    )
    targets: list[TargetName] | None = Field(
        None, min_length=1, max_length=16, description="What to foretell; by default every target with a champion."
    )
    reasons: Whole = Field(5, ge=0, le=20, description="At most this many reasons per score.")


class ReasonFeature(_Body):
    """One feature's part of a reason."""

    name: str = Field(description="The feature, as `bellwether features describe` lists it.")
    value: float | int | str | None = Field(description="What was known at the cutoff; null where nothing was.")
    contribution: float = Field(description="Log-odds.")


class ScoreReason(_Body):
    """Why a score is higher or lower than that of an average account."""

    code: str = Field(
        description="The family of features that speaks, to be read with `direction`: "
        f"{', '.join(f'`{name}`' for name in FAMILIES)}, or the name of a declared metric or column."
    )
    contribution: float = Field(description="Log-odds; exactly the sum of its features' contributions.")
    direction: Literal["raises", "lowers"] = Field(description="What it does to the probability.")
    actionable: bool = Field(description="Whether somebody can do something about it; context otherwise.")
    text: str = Field(description="A sentence for people.")
    features: list[ReasonFeature] = Field(description="What the reason is made of, the largest part first.")


class ModelName(_Body):
    """Which model said so, or which rule."""

    name: str = Field(description="The registered model.")
    version: str = Field(description="Its version in the registry.")
    kind: Literal["model", "rule"] = Field(description=_KIND)
    rule: str | None = Field(description=_RULE)


class AnsweringModel(ModelName):
    """Which model said so, and whether it was shown to be good enough."""

    verdict: VerdictAnswer = Field(description="What the gate said of it when it was judged.")
    unproven: bool = Field(description="Whether it was promoted though nothing was shown.")


class TargetScore(_Body):
    """One account's score for one target."""

    status: Status = Field(description="The numbers are there when the status is scored, and mostly when it is stale.")
    detail: str | None = Field(
        description="Why, in words, when the status is not scored, or an upgrade is not offered."
    )
    offer: bool | None = Field(
        description="Only for upsell: whether to offer the upgrade now. True in the highest band the model has, but "
        "False while the account's churn band is high: the detail then says churn_risk_high. False below that band, "
        "null there when the churn risk is not known.",
    )
    probability: float | None = Field(
        ge=0, le=1, description="Calibrated; a monotone map of the margin, which is what the reasons add up to."
    )
    band: Literal["high", "medium", "low"] | None = Field(
        description="Where the probability lies among the bands of `/v1/models`; low is below all."
    )
    horizon_days: int = Field(description=_HORIZON)
    lead_days: int = Field(description=_LEAD)
    margin: float | None = Field(description="Log-odds; base_margin plus all contributions.")
    base_margin: float | None = Field(description="Log-odds of an average account.")
    reasons: list[ScoreReason] = Field(
        description="At most as many as asked for, the largest first. A family of which no value supports the "
        "direction, or whose numbers were said before, is left out."
    )
    model: AnsweringModel = Field(description="The registered model that said so, and its version.")


class Result(_Body):
    """One account's scores."""

    account_id: str = Field(description="As it was asked for.")
    features_as_of: datetime | None = Field(
        description="The cutoff: what was known then made this score. Null for an account nobody knows."
    )
    data_age_hours: float | None = Field(description="Hours from that cutoff to this answer.")
    scores: dict[str, TargetScore] = Field(description="By target.")


class ScoreResponse(_Body):
    """Results in the order of the request."""

    results: list[Result] = Field(description="One for each account asked for.")
    request_id: str = _REQUEST_ID


class AccountQuery(BaseModel):
    """How to list accounts; all of it may be left out."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    target: TargetName = Field("churn", description="Whose latest score run to read.")
    band: Literal["high", "medium", "low"] | None = Field(None, description="Only this band.")
    owner: Word | None = Field(None, description="Only accounts of this owner.")
    segment: Word | None = Field(None, description="Only accounts of this segment.")
    sort: Literal["mrr_at_risk", "probability", "mrr"] | None = Field(
        None, description="The largest first. By default mrr_at_risk; for upsell, which risks no MRR, probability."
    )
    limit: int = Field(100, ge=1, le=1000, description="Accounts per page.")
    cursor: Annotated[str, StringConstraints(min_length=1, max_length=1000)] | None = Field(
        None,
        json_schema_extra={"pattern": "^[A-Za-z0-9_-]+={0,2}$"},
        description="`next_cursor` of the page before, with the same filters; pages stay on one score run.",
    )


def account_summary(row: type[ScoreRow] = ScoreRow) -> type[BaseModel]:
    """The schema of one account in a list: the fields of a row that the API shows, and its first reason."""
    types, shown = get_type_hints(row), {name: columns(row)[name] for name in shown_on("api", row)}
    fields: dict[str, Any] = {
        name: (layout.listed_as or types[name], Field(description=layout.description)) for name, layout in shown.items()
    }
    fields["reason"] = (str | None, Field(description="The first reason that raises the score."))
    return create_model("AccountSummary", __base__=_Body, __doc__="One account of a score run.", **fields)


AccountSummary = account_summary()


class AccountList(_Body):
    """One page of the latest score run."""

    target: str = Field(description="What the run foretells.")
    features_as_of: datetime = Field(description="The cutoff: what was known then made these scores.")
    data_age_hours: float = Field(description="Hours from that cutoff to this answer.")
    scored_at: datetime = Field(description="When the run was written.")
    horizon_days: int = Field(description=_HORIZON)
    lead_days: int = Field(description=_LEAD)
    model: ModelName = Field(description="The registered model that said so, and its version.")
    accounts: list[AccountSummary] = Field(  # type: ignore[valid-type] # made from the fields of a row
        description="One page, in the order of `sort`."
    )
    next_cursor: str | None = Field(description="Send it as `cursor` for the next page; null on the last.")
    request_id: str = _REQUEST_ID


class ModelComparison(_Body):
    """Model against a rival on the same test rows."""

    rival: str = Field(description="What the model is held against.")
    metric: str = Field(description="What both are measured by.")
    model: float | None = Field(description="Null, as the four below, where the metric cannot be measured.")
    other: float | None = Field(description="The rival's.")
    difference: float | None = Field(description="The model's less the rival's.")
    low: float | None = Field(description="Lower end of the paired 95 % interval of the difference.")
    high: float | None = Field(description="Its upper end.")


class ModelBandRate(_Body):
    """What was observed in one band when the model was made, of accounts it did not know."""

    rows: int = Field(description="How many accounts and cutoffs.")
    accounts: int = Field(description="How many accounts.")
    rate: float = Field(description="In which share of the rows the target came true.")
    low: float = Field(description="Lower end of its 95 % interval.")
    high: float = Field(description="Its upper end.")
    in_words: str = Field(description="The same, as people say it.")


class Model(_Body):
    """The champion of one target."""

    target: str = Field(description="What it foretells.")
    title: str = Field(description="The target in words.")
    name: str = Field(description="The registered model.")
    version: str = Field(description="Its version in the registry.")
    kind: Literal["model", "rule"] = Field(description=_KIND)
    rule: str | None = Field(description=_RULE)
    note: str | None = Field(description="Why this is not the champion the registry names, when it is not.")
    horizon_days: int = Field(description=_HORIZON)
    lead_days: int = Field(description=_LEAD)
    metrics: dict[str, float | None] = Field(description="Of the judged model, on cutoffs it never saw.")
    comparisons: list[ModelComparison] = Field(description="Against rules a person could use, on the same rows.")
    verdict: VerdictAnswer = Field(description="What the gate said: it passes, nothing is shown, or it is refused.")
    unproven: bool = Field(description="Whether it was promoted though nothing was shown.")
    verdict_reasons: list[str] = Field(description="Why, in words.")
    spans: dict[str, list[str]] = Field(
        description="First and last cutoff: of the newest fitting, of all that was judged, of the registered model."
    )
    bands: dict[str, float] = Field(
        description="Smallest probability of each band; one that no score reached when the model was made is missing."
    )
    band_rates: dict[str, ModelBandRate] = Field(
        description="What was observed in each band and in `low`; empty for models of earlier versions."
    )
    features: list[str] = Field(description="What it reads, in the order of its matrix.")
    left_out: dict[str, str] = Field(description="Features the model does not use, and why.")


class ModelList(_Body):
    """The champions that answer now."""

    models: list[Model] = Field(description="One per target with a champion.")
    request_id: str = _REQUEST_ID


class ProblemItem(_Body):
    """One thing that is wrong, and where."""

    where: str = Field(description="Path of the field or name of the parameter, as `/account_ids/0`.")
    what: str = Field(description="What is wrong there, without the value.")


class Problem(_Body):
    """Every error has this shape (RFC 9457)."""

    type: str = Field(description="`about:blank`: the status says what kind it is.")
    title: str = Field(description="The status in words.")
    status: int = Field(description="That of the response.")
    detail: str = Field(description="What is wrong and what to do, in words.")
    request_id: str = _REQUEST_ID
    errors: list[ProblemItem] = Field(description="Each place that is wrong, twenty at most.")
