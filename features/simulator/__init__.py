"""A seeded API company whose truth is known."""

from features.simulator.simulate import SimulationReport, simulate

__all__ = ["SimulationReport", "simulate"]
