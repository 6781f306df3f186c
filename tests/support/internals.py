"""The only places where tests look behind what is public, each by a name of its own."""

import sys
from types import SimpleNamespace


def homes_of(package):
    """Return the modules of a lazy package with the names that each has, in their order."""
    return package._HOMES


def cache_of(provider):
    """Return what a provider remembers."""
    return provider._cache


def flight_of(provider):
    """Return a provider's flight under way, or None."""
    return provider._flight


def refresher_of(provider):
    """Return what refreshes a provider's token, or None while it rests."""
    return provider._refresher


def leaves_its_store_alone(refresher):
    """Tell whether a refresher's store has failed, and was not seen to work since."""
    return refresher.coordinator.store._away_until is not None


def providers_of(pool):
    """Return a pool's providers by key."""
    return pool._providers


def backoffs_of(pool):
    """Return the backoffs that a pool keeps for keys without a provider."""
    return pool._backoffs


def allow(middleware, url):
    """Ask a middleware whether a URL's origin is allowed, as it asks itself."""
    return middleware._allow(url)


def remembered_by(middleware):
    """Return the origins that a middleware remembers."""
    return middleware._allowed | {f"https://{host}" for host in middleware._hosts}


def claims_of(log):
    """Return the claims that a log of deliveries in memory holds, by their keys."""
    return log._claims


def calls_of(workers):
    """Return the calls that wait for a thread, by their futures."""
    return dict(workers._calls)


def end_flight(single_flight, flight, task):
    """End a flight as its task does."""
    single_flight._end(flight, task)


def port_of(listener):
    """Return a loopback listener's port."""
    return listener._port


def authority_of(listener):
    """Return a loopback listener's host and port."""
    return listener._authority


def start_url_of(listener):
    """Return the one-time address at which the browser starts."""
    return f"{listener._origin}{listener._start_path}"


def start_path_of(listener):
    """Return the path of that address."""
    return listener._start_path


def runner_of(listener):
    """Return the server behind a loopback listener."""
    return listener._runner


def has_visits(listener):
    """Tell whether a browser's visit waits to be taken."""
    return not listener._waiting.empty()


async def receive(listener, request):
    """Hand a request to a loopback listener, as its server does."""
    return await listener._receive(request)


def private_key_of(key):
    """Return what a SigningKey signs with."""
    return key._key


def transport_of(client):
    """Return what sends a client's requests."""
    return client._connection.transport


def record_lines(monkeypatch, terminal, lines):
    """Append each line that the command writes, with its stream's name, to a list."""
    write = terminal._write

    def record(stream, text):
        lines.append(("stderr" if stream is sys.stderr else "stdout", text))
        write(stream, text)

    monkeypatch.setattr(terminal, "_write", record)


def memory_of(store):
    """Return what a MemoryTokenStore remembers: entries, writes and leases by key."""
    return SimpleNamespace(entries=store._entries, writes=store._writes, leases=store._leases)


def watched(listener, arrivals):
    """Return a class of loopback listeners that put each request that arrives into a queue."""

    class WatchedListener(listener):
        async def _receive(self, request):
            arrivals.put_nowait(request)
            return await super()._receive(request)

    return WatchedListener
