"""Requests as they leave the machine: the one transport, and what a server publishes."""
