"""Targets, their labels, and the rows a model is fitted on and judged by."""
