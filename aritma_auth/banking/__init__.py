"""
The conventions of Aritma's APIs. Nothing here sends a request: use your own aiohttp session.

    headers.py     request and response header fields: versions, idempotency, consent
    problems.py    problem details, and statuses
    sca.py         strong customer authentication: the end-user confirms a payment at Aritma ID
"""

from aritma_auth.banking.headers import (
    ApiContext,
    ApiVersions,
    build_api_headers,
    generate_idempotency_key,
    parse_api_versions,
    was_replayed,
)
from aritma_auth.banking.problems import ApiProblem, is_status, parse_problem
from aritma_auth.banking.sca import ScaStep, parse_sca_step

__all__ = [
    "ApiContext",
    "ApiProblem",
    "ApiVersions",
    "ScaStep",
    "build_api_headers",
    "generate_idempotency_key",
    "is_status",
    "parse_api_versions",
    "parse_problem",
    "parse_sca_step",
    "was_replayed",
]
