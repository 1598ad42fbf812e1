"""Writes a share as a percentage, everywhere alike."""

__all__ = ["Share", "percent"]


class Share(float):
    """A share of a whole: a percentage in a table for people, the number itself for programs."""

    __slots__ = ()


def percent(share: float) -> str:
    """A share in percent: one digit after the point below ten, none from there on.

    >>> percent(0.041), percent(0.58), percent(0), percent(0.0001), percent(12.5)
    ('4.1 %', '58 %', '0 %', 'less than 0.1 %', '1,250 %')
    """
    number = 100 * share
    if 0 < number < 0.1:
        return "less than 0.1 %"
    digits = f"{number:,.1f}" if 0 < abs(number) < 9.95 else f"{number:,.0f}"
    return f"{digits.removesuffix('.0')} %"
