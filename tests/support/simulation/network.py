"""Connections in memory: late, lost, reset, refused, or held in the socket of a frozen process."""

import asyncio

LATENCY = (0.002, 0.06)


class Network:
    """
    Carries bytes between the loops and the identity server.

    Args:
        universe: Its time and chance.

        server: Makes the server's end of a connection.

    Attributes:
        faults: By process name: kind of fault in force, and until when.

        losses: Responses to lose yet, each ``lose`` (silence), ``reset`` or ``truncate``.
    """

    def __init__(self, universe, server):
        self.universe = universe
        self.server = server
        self.faults = {}
        self.losses = []
        self.connections = []
        self._random = universe.stream("network")

    def latency(self, process):
        """Give the seconds that bytes are under way."""
        low, high = LATENCY
        if self.fault(process) == "late":
            low, high = 0.5, 4.4
        return self._random.uniform(low, high)

    def fault(self, process):
        """Give the kind of fault that a process's network has now, or None."""
        kind, until = self.faults.get(process.slot, (None, 0.0))
        return kind if self.universe.now < until else None

    async def connect(self, loop, address):
        """Open a connection from a loop."""
        universe, process = self.universe, loop.process
        future = loop.create_future()
        connection = Connection(self, loop)
        fault = self.fault(process)
        universe.note(process.name, "connects", fault or "")

        def arrive():
            def done():
                if future.done():
                    return
                if fault == "refuse":
                    future.set_exception(ConnectionRefusedError(111, "Connection refused"))
                else:
                    future.set_result(connection)

            loop.on_socket(done)

        if fault != "black hole":
            universe.after(2 * self.latency(process), arrive)
        return await future


class Connection:
    """
    One connection.

    Attributes:
        opened_at: True seconds when the process began to connect.

        sent_at: True seconds of the last bytes that left the process.

        is_open: The process has not closed it.
    """

    def __init__(self, network, loop):
        self.network = network
        self.universe = network.universe
        self.loop = loop
        self.process = loop.process
        self.opened_at = self.universe.moment()
        self.sent_at = None
        self.ended_at = None
        self.exchange = None
        self.transport = None
        self.peer = network.server.accept(self)
        network.connections.append(self)

    @property
    def is_open(self):
        return self.ended_at is None

    def end(self):
        """Count the process's end as closed."""
        if self.ended_at is None:
            self.ended_at = self.universe.now
            self.universe.after(0.0, self.peer.lost)

    def send(self, data):
        """Carry bytes to the server; what has not arrived when the process closes is dropped."""
        universe, process = self.universe, self.process
        self.sent_at = universe.now
        universe.signal("sent", process)
        fault = self.network.fault(process)
        if fault == "lose requests":
            universe.note(process.name, "request lost")
            return
        if fault == "reset requests":
            universe.after(self.network.latency(process), self.reset)
            return

        def arrive():
            if self.is_open or process.is_dead:
                self.peer.received(data)

        universe.after(self.network.latency(process), arrive)

    def respond(self, data):
        """Carry the server's bytes to the process's socket."""
        fault = self.network.fault(self.process)
        loss = None
        if self.network.losses:
            loss = self.network.losses.pop(0)
        elif fault == "lose responses":
            loss = "lose"
        elif fault == "reset responses":
            loss = "reset"
        if loss is not None:
            self.universe.note(self.process.name, "response", loss)
        if loss == "truncate":
            half = data[: len(data) * 2 // 3]
            later = self.network.latency(self.process)
            self.universe.after(later, lambda: self._deliver(half, is_whole=False))
            self.universe.after(later + 0.01, self.reset)
        elif loss == "reset":
            self.universe.after(self.network.latency(self.process), self.reset)
        elif loss is None:
            self.universe.after(self.network.latency(self.process), lambda: self._deliver(data))

    def _deliver(self, data, *, is_whole=True):
        if not self.is_open or self.process.is_dead or self.loop.is_closed():
            return
        if is_whole:
            self.peer.delivered()
        self.universe.signal("delivered", self.process)
        self.loop.on_socket(lambda: self.transport and self.transport.received(data))

    def reset(self):
        """Break it, seen from the process."""
        if self.is_open:
            self.loop.on_socket(lambda: self.transport and self.transport.broken())


class Transport(asyncio.Transport):
    """The process's end of a connection, as its event loop shows it to a protocol."""

    def __init__(self, loop, connection, protocol):
        super().__init__()
        self._loop = loop
        self._connection = connection
        self._protocol = protocol
        self._is_closing = False
        self._is_paused = False
        self._waiting = []
        connection.transport = self

    def received(self, data):
        if self._is_closing:
            return
        if self._is_paused:
            self._waiting.append(data)
        else:
            self._protocol.data_received(data)

    def broken(self):
        self._lose(ConnectionResetError(104, "Connection reset by peer"))

    def write(self, data):
        if not self._is_closing:
            self._connection.send(bytes(data))

    def writelines(self, list_of_data):
        self.write(b"".join(list_of_data))

    def close(self):
        self._lose(None)

    def abort(self):
        self._lose(None)

    def _lose(self, error):
        if self._is_closing:
            return
        self._is_closing = True
        self._connection.end()
        if not self._loop.is_closed():
            self._loop.call_soon(self._protocol.connection_lost, error)

    def is_closing(self):
        return self._is_closing

    def get_extra_info(self, name, default=None):
        return ("127.0.0.1", 80) if name == "peername" else default

    def set_protocol(self, protocol):
        self._protocol = protocol

    def get_protocol(self):
        return self._protocol

    def pause_reading(self):
        self._is_paused = True

    def resume_reading(self):
        self._is_paused = False
        waiting, self._waiting = self._waiting, []
        for data in waiting:
            self.received(data)

    def is_reading(self):
        return not self._is_paused

    def can_write_eof(self):
        return False

    def get_write_buffer_size(self):
        return 0

    def get_write_buffer_limits(self):
        return 0, 65536

    def set_write_buffer_limits(self, high=None, low=None):
        pass
