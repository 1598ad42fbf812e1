"""A fitted model: booster, calibration, contributions, and the bundle that serving loads."""
