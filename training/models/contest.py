"""What a new model has to hold its own against: the champion, and the best recipe promoted so far."""

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["Contest", "Incumbent"]


@dataclass(frozen=True)
class Incumbent:
    """A recipe that was promoted.

    Attributes
    ----------
    version
        Of the registered model that was made by it.
    service, parameters
        Feature service and booster parameters; together with a dataset they make the model again.
    recall
        95 % interval of its recall at capacity when it was judged; None where that was not kept.
    """

    version: str
    service: str
    parameters: Mapping[str, float]
    recall: tuple[float, float] | None = None

    def is_recipe(self, service: str, parameters: Mapping[str, float]) -> bool:
        """Whether it is this recipe."""
        return (self.service, dict(self.parameters)) == (service, dict(parameters))


@dataclass(frozen=True)
class Contest:
    """Who is held against a new model; nobody where there is no champion that can be fitted again.

    Attributes
    ----------
    reference
        The best recipe promoted so far, replaced only by one shown better; the champion where none is known.
    judged_recipes
        How many recipes but the champion's were judged since the last promotion.
    remarks
        What a person should know about those who are not compared.
    rule
        The rule that is champion, in words; None where a model is, or nobody.
    """

    champion: Incumbent | None = None
    reference: Incumbent | None = None
    judged_recipes: int = 0
    remarks: tuple[str, ...] = ()
    rule: str | None = None
