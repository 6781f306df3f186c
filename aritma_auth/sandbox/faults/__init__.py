"""What a test makes go wrong."""
