"""JSON files: lines, documents and the envelopes that gateways put around rows."""
