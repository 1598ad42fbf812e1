"""Which releases of an SDK the fleet runs, in what order, and since when there has been a newer one."""

import ibis
import ibis.expr.types as ir

__all__ = ["releases", "version_order"]

_PARTS = 4  # of a version, as major, minor, patch, build
_DIGITS = 20
_AFTER_ANY_SUFFIX = "~"
_POST_RELEASE = ".post"


def releases(release: ir.Table, cutoffs: ir.Table) -> ir.Table:
    """Releases seen as known at each cutoff: one row per ``cutoff``, ``sdk`` and ``sdk_version``.

    ``release`` is the rollup of this name over all days.

    Returns
    -------
    Table
        The keys, and ``superseded_at``: when a call first came from a newer version of the SDK, whoever made it; null
        for the newest, and where the version is no number.
    """
    seen = release.join(cutoffs, release.visible_from <= cutoffs.cutoff.date())
    first = seen.group_by("cutoff", "sdk", "sdk_version").agg(first_seen=seen.min_event_time.min())
    first = first.mutate(place=version_order(first.sdk_version))
    # Two spellings of one version, as 1.2 and 1.2.0, do not supersede each other.
    by_place = first.filter(first.place.notnull()).group_by("cutoff", "sdk", "place")
    places = by_place.agg(first_seen=lambda table: table.first_seen.min())
    newer = ibis.window(group_by=["cutoff", "sdk"], order_by=ibis.desc("place"), preceding=(None, 1))
    places = places.select("cutoff", "sdk", "place", superseded_at=places.first_seen.min().over(newer))
    joined = first.left_join(places, ["cutoff", "sdk", "place"])
    return joined.select("cutoff", "sdk", "sdk_version", "superseded_at")


def version_order(version: ir.StringValue) -> ir.StringValue:
    """A text that sorts as versions do; null when the version does not begin with a number.

    The numbers between the dots count, missing ones as 0; a pre-release (1.2.0-beta.2, before 1.2.0-beta.10) comes
    before its release, and what follows a plus sign counts for nothing (Semantic Versioning 2.0.0, section 11). A
    post-release (1.2.0.post1) comes after it (PEP 440).
    """
    bare = version.re_replace(r"\+.*$", "").re_replace(r"^[vV]", "")
    numbers = [bare.re_extract(rf"^(?:\d+\.){{{place}}}(\d+)", 1) for place in range(_PARTS)]
    suffix = bare.re_replace(r"^\d+(\.\d+)*", "")
    # beta.10 comes after beta.2: every number gets leading zeros, then all but the last digits go.
    suffix = suffix.re_replace(r"(\d+)", "0" * _DIGITS + r"\1").re_replace(rf"\d*(\d{{{_DIGITS}}})", r"\1")
    is_later = (suffix == "") | suffix.startswith(_POST_RELEASE)
    padded = [number.lpad(_DIGITS, "0") for number in numbers]
    key = ibis.literal(".").join([*padded, ibis.ifelse(is_later, ibis.literal(_AFTER_ANY_SUFFIX) + suffix, suffix)])
    return ibis.ifelse(numbers[0] == "", None, key)
