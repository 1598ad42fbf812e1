"""What can be set, where it is read, and the file that explains it."""
