"""What has to be said about ingested data, each thing once."""
