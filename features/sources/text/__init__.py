"""Lines and delimited rows of text files, and which of them repeat."""
