"""The HTTP contract: routes, keys, limits, answers and their description."""
