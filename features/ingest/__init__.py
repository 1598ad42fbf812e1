"""From source files to the raw tables: checked, pseudonymised, stored or quarantined."""
