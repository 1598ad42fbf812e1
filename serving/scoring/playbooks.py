"""What to do about a finding: a playbook for every family."""

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["PLAYBOOKS", "Playbook", "next_step"]


@dataclass(frozen=True)
class Playbook:
    """What to do when a family is found: a title, and the steps in their order."""

    title: str
    steps: tuple[str, ...]


PLAYBOOKS: Mapping[str, Playbook] = {
    "auth_errors": Playbook(
        "Integration help",
        ("Ask whether a key expired or was changed, and offer to look at the integration together.",),
    ),
    "errors": Playbook(
        "Error triage",
        ("Send the failing endpoint with two examples from its log, and offer a call with an engineer.",),
    ),
    "throttling": Playbook(
        "Room to grow",
        ("Show when calls were throttled; suggest spreading them, or the plan that leaves room.",),
    ),
    "latency": Playbook(
        "Latency review",
        ("Tell them that you see it, and open a ticket with engineering on this endpoint.",),
    ),
    "breadth": Playbook(
        "Unused endpoints",
        ("Ask what replaced the endpoints they gave up, and show what accounts like theirs do with them.",),
    ),
    "people": Playbook(
        "A new champion",
        ("Find out whether this person has left, and ask who owns the integration now.",),
    ),
    "usage_trend": Playbook("Check in", ("Call and ask what changed: the log shows the fall, and no cause for it.",)),
    "silence": Playbook("Check in", ("Call today: ask whether the integration still runs.",)),
    "value_endpoint": Playbook(
        "First value", ("Show them the endpoint that makes the value, with an example of their own data.",)
    ),
    "onboarding": Playbook("Onboarding help", ("Offer an hour with an engineer to get to the next step.",)),
    "sdk": Playbook("SDK upgrade", ("Send the upgrade notes of the version that works, and offer help.",)),
    "quota": Playbook("Upgrade talk", ("Name the day on which the quota will be passed, and offer the next plan.",)),
    "support": Playbook("Ticket review", ("Read the open tickets before you call.",)),
    "contract": Playbook("Renewal talk", ("Agree a date for the renewal talk before the term ends.",)),
}
"""The playbooks that come with the product, by family."""


def next_step(family: str) -> str:
    """The first step for a family."""
    return PLAYBOOKS[family].steps[0]
