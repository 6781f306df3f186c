"""
aritma_auth in other frameworks: one module each, imported by its name, behind its own extra.

``aiohttp_web`` and ``fastapi`` sign end-users in to a web application; ``session_store`` says where
several processes keep the sessions. ``httpx`` signs the requests of that library. ``opentelemetry``
makes metrics and spans of events.
"""

__all__: list[str] = []
