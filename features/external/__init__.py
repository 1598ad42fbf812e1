"""Feature tables that somebody else makes: read, checked, and kept by the cutoff that may first see each row."""
