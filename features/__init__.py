"""What an account did, as known at a cutoff."""
