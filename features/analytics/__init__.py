"""What happened, for people who look: pure Ibis over the daily rollups, for notebooks."""
