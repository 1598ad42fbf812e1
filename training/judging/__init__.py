"""How good a model is, beside the rules a person would use, and whether it may be promoted."""
