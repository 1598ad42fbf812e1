"""The true risk of each simulated account at each cutoff, which no real data could tell."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from features.simulator.causes import CAUSES, INCIDENT
from features.simulator.company import Company
from features.simulator.hazard import departure_risk, upgrade_risk
from features.simulator.lives import Lives
from features.simulator.names import account_names

__all__ = ["HORIZON_DAYS", "LEAD_DAYS", "TRUTH_SCHEMA", "truth_batches"]

LEAD_DAYS = 7  # the label window of the default targets
HORIZON_DAYS = 30
VISIBLE_BURDEN = 0.05  # below this no cause is named
_DAY = 86_400_000_000
_CAUSES = pa.array(["none", *(cause.name for cause in CAUSES), INCIDENT])

TRUTH_SCHEMA = pa.schema(
    [
        ("account_id", pa.string()),
        ("cutoff", pa.timestamp("us", tz="UTC")),
        ("alive", pa.bool_()),
        ("churn_risk", pa.float64()),
        ("upgrade_risk", pa.float64()),
        ("health", pa.float64()),
        ("cause", pa.string()),
    ]
)


def truth_batches(company: Company, lives: Lives, start: int) -> Iterator[pa.RecordBatch]:
    """One batch per cutoff, one row per account subscribed at it.

    ``churn_risk`` is ``1 - product(1 - hazard)`` over the label window with every latent state frozen at its value
    just before the cutoff; who has given notice leaves inside the lead, so nothing is left for the window.
    """
    names = account_names(company.accounts)
    for cutoff in range(1, len(lives.is_subscribed)):
        who = np.flatnonzero(lives.is_subscribed[cutoff])
        burden = lives.burden[cutoff][who].astype(np.float64)
        incident = lives.incident_burden[cutoff][who]
        plan = lives.plan[cutoff][who].astype(np.int64)
        churn = departure_risk(
            burden,
            plan,
            company.is_annual[who],
            lives.term_end_day[cutoff][who].astype(np.int64),
            cutoff=cutoff,
            lead_days=LEAD_DAYS,
            horizon_days=HORIZON_DAYS,
        )
        quota_used = lives.quota_used[cutoff][who].astype(np.float64)
        upgrade = upgrade_risk(quota_used, plan, burden, horizon_days=HORIZON_DAYS)
        is_staying = ~lives.is_leaving[cutoff][who]
        own = 1.0 - (1.0 - burden) / (1.0 - incident)
        cause = np.where(incident > own, len(CAUSES) + 1, lives.cause[cutoff][who])
        cause = np.where(burden < VISIBLE_BURDEN, 0, cause)
        yield pa.record_batch(
            {
                "account_id": names.take(pa.array(who)),
                "cutoff": pa.array(np.full(len(who), start + cutoff * _DAY), TRUTH_SCHEMA.field("cutoff").type),
                "alive": pa.array(np.ones(len(who), np.bool_)),
                "churn_risk": pa.array(np.where(is_staying, churn, 0.0)),
                "upgrade_risk": pa.array(np.where(is_staying & ~company.is_silent[who], upgrade, 0.0)),
                "health": pa.array(1.0 - burden),
                "cause": _CAUSES.take(pa.array(cause)),
            },
            TRUTH_SCHEMA,
        )
