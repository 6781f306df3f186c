"""
The specifications as pure functions on values.

Nothing in this folder awaits, opens a socket or reads the clock: time is an argument and randomness
lives in functions named ``generate_*``. The modules work in pairs: ``build_*_request`` makes an
``HttpRequest``, ``parse_*_response`` reads an ``HttpResponse`` or raises.
"""
