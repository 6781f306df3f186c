"""Faults that a test can order: of responses, of their contents, of the network."""
