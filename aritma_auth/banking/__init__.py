"""
Conveniences for the conventions of Aritma's APIs. They send nothing: use your own aiohttp session.

    headers.py     what a call says of itself, and what an answer says of the API
    problems.py    what went wrong, as far as the API says it
    sca.py         a payment's confirmation by the person, at Aritma ID
"""

from aritma_auth.banking.headers import (
    ApiContext,
    ApiVersions,
    build_api_headers,
    generate_idempotency_key,
    parse_api_versions,
    was_replayed,
)
from aritma_auth.banking.problems import ApiProblem, parse_problem
from aritma_auth.banking.sca import ScaStep, parse_sca_step

__all__ = [
    "ApiContext",
    "ApiProblem",
    "ApiVersions",
    "ScaStep",
    "build_api_headers",
    "generate_idempotency_key",
    "parse_api_versions",
    "parse_problem",
    "parse_sca_step",
    "was_replayed",
]
