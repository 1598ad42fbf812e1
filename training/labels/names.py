"""What can be foretold, by name: all a command line needs to refuse another name at once."""

__all__ = ["TARGET_NAMES", "registered_name"]

TARGET_NAMES = ("churn", "churn_inactivity", "upsell")


def registered_name(target_name: str) -> str:
    """Name of a target's registered model, and of its MLflow experiment.

    >>> registered_name("churn_inactivity")
    'bellwether-churn-inactivity'
    """
    return f"bellwether-{target_name.replace('_', '-')}"
