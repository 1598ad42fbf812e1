"""Raw events and customer records to feature rows: what each account did, as known at a cutoff."""
