"""Small pure formulas that groups, rollups and analytics share."""
