"""The parts of the quality report: what the data of a cutoff looks like, and what in it deserves a look."""
