"""One refresh for all who share a store."""
