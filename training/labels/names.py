"""What can be foretold, by name: all a command line needs to refuse another name at once."""

__all__ = ["TARGET_NAMES"]

TARGET_NAMES = ("churn", "churn_inactivity", "upsell")
