"""Answers questions: scores, reasons, ledger, HTTP."""
