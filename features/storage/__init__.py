"""Folders of files that are whole at every moment."""
