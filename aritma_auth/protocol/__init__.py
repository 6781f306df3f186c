"""
The specifications as pure functions on values.

Nothing in this folder awaits, opens a socket or reads the clock: time is an argument and randomness
lives in functions named ``generate_*``. The modules work in pairs: ``build_*_request`` makes an
`HttpRequest`, ``parse_*_response`` makes a value of an `HttpResponse` or raises.

Public are `aritma_auth.protocol.grants`, `aritma_auth.protocol.client_auth` and
`aritma_auth.protocol.redaction`, for those who write a grant or a client authentication of their
own. Everything else here is internal, whether or not its name begins with an underscore.
"""
