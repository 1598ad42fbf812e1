"""Ratios without division by zero, and sums that no order of rows can change."""

import ibis.expr.types as ir

__all__ = ["exact_sum", "ratio"]


def ratio(numerator: ir.NumericValue, denominator: ir.NumericValue) -> ir.FloatingValue:
    """Divide; null where the denominator is 0 or null, on every engine."""
    return numerator.cast("float64") / denominator.cast("float64").nullif(0.0)


def exact_sum(values: ir.FloatingValue, *, where: ir.BooleanValue | None = None) -> ir.FloatingScalar:
    """Sum of fractions that is the same whatever the order of the rows, which a sum of floating-point numbers is not.

    They are summed as decimals with 12 places; up to 10^26 fits.
    """
    return values.cast("decimal(38, 12)").sum(where=where).cast("float64")
