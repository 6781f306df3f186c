"""The sandbox's Banking API."""
