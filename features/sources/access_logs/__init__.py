"""Access logs of web servers, line by line in the format that the server declares."""
