"""Histories in which an earlier version broke an invariant, as small as they could be made."""

from support.simulation.plan import Plan, Step, World

SEEDS = range(6)
"""Each history is told with several latencies, draws and orders of the loops."""

ALONE = World("signed_in", "", processes=1, lifetime=60, duration=200.0)
SLEEPY = World("signed_in", "", processes=1, lifetime=60, duration=200.0, counts_suspend=False)
SERVICE = World("client_credentials", "", processes=1, lifetime=60, duration=200.0)
FLEET = World("signed_in", "redis", processes=2, lifetime=60, duration=200.0)
SLEEPY_FLEET = World(
    "signed_in", "redis", processes=2, lifetime=60, duration=200.0, counts_suspend=False
)
FILES = World("signed_in", "file", processes=2, lifetime=60, duration=200.0)
SLEEPY_FILES = World(
    "signed_in", "file", processes=2, lifetime=60, duration=200.0, counts_suspend=False
)
SERVICES = World("client_credentials", "file", processes=2, lifetime=60, duration=200.0)
WRONG_KEY = World("signed_in", "redis", processes=2, lifetime=60, duration=200.0, wrong_key=1)
CLOCKS_DIFFER = World(
    "signed_in",
    "redis",
    processes=2,
    lifetime=60,
    duration=200.0,
    wall_offsets=(-45.0, 0.0, 0.0),
)

HISTORIES = {
    "closed before the flight's first step": (
        ALONE,
        Step(100.0, "call"),
        Step(100.0, "aclose", seconds=500.0),
    ),
    "forgotten before the flight's first step": (
        ALONE,
        Step(100.0, "call"),
        Step(100.0, "forget"),
        Step(101.0, "set_token"),
        Step(190.0, "call"),
    ),
    "a newer sign-in while the older one is refused": (
        FLEET,
        Step(50.0, "revoke"),
        Step(99.0, "set_token", anchor="arrived"),
        Step(100.0, "call"),
        Step(170.0, "call", slot=1),
    ),
    "refused as spent while the successor is stored, by a server that ends no sign-in for it": (
        World("signed_in", "redis", 2, lifetime=25, duration=200.0, reuse_ends_family=False),
        Step(99.0, "freeze", seconds=23.96, anchor="arrived"),
        Step(100.0, "call"),
        Step(114.0, "call", slot=1),
        Step(123.9, "loss", slot=1, detail="truncate", anchor="delivered"),
        Step(127.0, "call"),
        Step(129.0, "call"),
    ),
    "the store is away when the successor comes": (
        FLEET,
        Step(99.0, "store_fault", slot=-1, detail="away", seconds=40.0, anchor="sent"),
        Step(100.0, "call"),
        Step(155.0, "call", slot=1, timeout=3.0),
    ),
    "a response that lies in the socket of a frozen process": (
        ALONE,
        Step(99.0, "freeze", seconds=12.0, anchor="arrived"),
        Step(100.0, "call"),
        Step(150.0, "call"),
    ),
    "forget is cancelled while the lease is given back": (
        FILES,
        Step(99.0, "forget", detail="cancelled", timeout=0.007, anchor="delivered", skip=7),
        Step(100.0, "call"),
        Step(110.0, "set_token", slot=1),
        Step(170.0, "call", slot=1),
    ),
    **{
        f"frozen {skip} callbacks after the store was first asked": (
            FLEET,
            Step(99.0, "freeze", seconds=25.0, anchor="store begun", skip=skip),
            Step(100.0, "call"),
            Step(105.0, "call", slot=1),
        )
        for skip in range(17, 26)
    },
    "a lease on a loop that stands still": (
        SERVICES,
        Step(99.0, "stand", seconds=400.0, anchor="arrived"),
        Step(100.0, "call", timeout=0.3),
        Step(150.0, "call", slot=1),
    ),
    "a sleep while the request is under way": (
        SLEEPY,
        Step(99.0, "suspend", seconds=9.0, anchor="arrived"),
        Step(100.0, "call"),
        Step(164.0, "call"),
    ),
    "a sleep while the store tells a token's age": (
        SLEEPY_FLEET,
        Step(70.0, "call"),
        Step(79.0, "suspend", slot=1, seconds=20.0, anchor="store done"),
        Step(80.0, "call", slot=1),
        Step(132.0, "call", slot=1),
    ),
    "a sleep between the refresh and its waiter": (
        SLEEPY_FILES,
        Step(94.0, "call", slot=1),
        Step(118.0, "suspend", seconds=68.0, anchor="store begun"),
        Step(133.0, "call"),
        Step(134.0, "call", slot=1),
    ),
    "a sign-in as a flight begins, whose process does not know that its token was refreshed": (
        FLEET,
        Step(70.0, "call", slot=1),
        Step(139.0, "set_token", anchor="store begun", skip=2),
        Step(140.0, "call"),
    ),
    "a call after a sign-in, while the flight before it goes on": (
        ALONE,
        Step(99.0, "set_token", anchor="sent"),
        Step(99.0, "call", anchor="sent", skip=5),
        Step(100.0, "call"),
    ),
    "a rejected token while another process refreshes": (
        FLEET,
        Step(1.0, "call", slot=1),
        Step(52.0, "freeze", seconds=8.0, anchor="sent"),
        Step(52.0, "call"),
        Step(52.5, "reject", slot=1, anchor="store begun", skip=0),
        Step(52.5, "call", slot=1, anchor="store begun", skip=3),
        Step(52.6, "call", slot=1),
    ),
    "the last of three attempts hangs, and its process cannot keep its lease": (
        FLEET,
        Step(99.0, "network_fault", detail="refuse", seconds=2.2),
        Step(99.0, "outage", detail="hang", seconds=30.0),
        Step(100.0, "call"),
        Step(100.1, "store_fault", detail="away", seconds=25.0),
        Step(100.2, "call", slot=1),
    ),
    "a caller's time-out when the flight's loop ends": (
        SERVICE,
        Step(90.0, "outage", detail="hang", seconds=90.0),
        Step(100.0, "call", timeout=12.0),
        Step(100.05, "call", loop="side", timeout=12.0),
        Step(105.0, "end_run"),
    ),
    "a short Retry-After in an outage": (
        ALONE,
        Step(60.0, "outage", detail="503", seconds=130.0, timeout=1),
        *(Step(61.0 + 5 * at, "call", timeout=3.0) for at in range(25)),
    ),
    "a worker with another key": (WRONG_KEY, Step(100.0, "call", slot=1)),
    "the store is away from a fresh process": (
        FLEET,
        Step(99.0, "store_fault", slot=1, detail="away", seconds=5.0),
        Step(100.0, "call", slot=1),
    ),
    "short loops in the background window": (
        ALONE,
        *(Step(50.0 + at, "job", seconds=0.05) for at in range(90)),
    ),
    "a loop that only stands still for a while": (
        ALONE,
        Step(99.0, "stand", seconds=50.0, anchor="arrived"),
        Step(100.0, "call", timeout=0.3),
        Step(101.5, "call", loop="side"),
    ),
    "a loop ends in mid-exchange": (
        ALONE,
        Step(90.0, "outage", detail="hang", seconds=90.0),
        Step(99.0, "end_run", anchor="arrived"),
        Step(100.0, "call", timeout=12.0),
        Step(100.05, "call", loop="side", timeout=12.0),
    ),
    "set_token is cancelled while a flight is under way": (
        FLEET,
        Step(52.0, "set_token", detail="cancelled", timeout=0.001, anchor="store begun"),
        Step(53.0, "call"),
        Step(100.0, "call"),
    ),
    "a lost response, and another machine's clock": (
        CLOCKS_DIFFER,
        Step(99.0, "loss", detail="truncate"),
        Step(100.0, "call"),
        Step(102.0, "call", slot=1),
    ),
    "a lost flight goes on when another is over": (
        ALONE,
        Step(70.0, "close_loop", anchor="delivered", skip=2),
        Step(106.1, "call", timeout=3.0),
        Step(109.7, "call"),
        Step(114.6, "stand", seconds=11.4),
        Step(122.8, "call"),
    ),
    "a lost flight goes on while another response is lost": (
        ALONE,
        Step(47.1, "stand", seconds=29.57, anchor="arrived", skip=2),
        Step(62.1, "call", timeout=0.3),
        Step(69.2, "reject"),
        Step(76.2, "loss", detail="truncate", anchor="sent", skip=5),
        Step(86.4, "reject"),
        Step(92.8, "call"),
    ),
    "a sign-in while a clock ahead has stored another": (
        World("signed_in", "redis", 2, lifetime=60, duration=200.0, wall_offsets=(0.0, 200.0, 0.0)),
        Step(26.0, "call", slot=1),
        Step(27.0, "set_token", slot=1),
        Step(50.0, "set_token", anchor="step", skip=1),
        Step(52.1, "call"),
        Step(52.1, "call"),
    ),
    "a rejected token in the store while the provider closes": (
        FLEET,
        Step(10.0, "reject"),
        Step(11.0, "aclose", loop="side", anchor="store begun", skip=4, seconds=70.0),
        Step(11.1, "call", timeout=0.3),
    ),
    "closed while the store is left alone with a write owed": (
        FLEET,
        Step(60.0, "set_token", seconds=76.0, loop="side", anchor="arrived", skip=3),
        Step(79.0, "freeze", seconds=6.8, anchor="sent", skip=13),
        Step(98.0, "call", timeout=0.3, loop="side"),
        Step(102.0, "aclose", seconds=0.4, anchor="store done"),
    ),
    "closed while a slow store takes a lease back": (
        FLEET,
        Step(99.0, "store_fault", slot=-1, detail="slow", seconds=30.0),
        Step(99.0, "loss", detail="lose", seconds=57.0, anchor="store begun", skip=13),
        Step(100.0, "call"),
        Step(107.0, "aclose", seconds=30.0, anchor="store done", skip=1),
    ),
    "a sign-in by a clock that was set back while the store hangs": (
        FLEET,
        Step(21.0, "wall", slot=1, seconds=-7200.0, anchor="sent"),
        Step(52.0, "call", slot=1),
        Step(120.0, "call"),
        Step(150.0, "store_fault", slot=-1, detail="hung", seconds=9.0),
        Step(151.0, "set_token", slot=1),
        Step(153.0, "call", slot=1),
        Step(190.0, "call", slot=1),
    ),
    "closed on one loop while another loop signs out": (
        World("signed_in", "redis", 2, lifetime=60, duration=110.0),
        Step(25.0, "aclose", slot=1, seconds=7.0, loop="side", anchor="delivered"),
        Step(26.0, "sign_out", slot=1, seconds=10.0, anchor="store begun", skip=1),
        Step(51.0, "call", slot=1),
    ),
    "closed while the machine sleeps and the token ends": (
        World("signed_in", "", 1, lifetime=60, duration=240.0, counts_suspend=False),
        Step(160.0, "call", timeout=0.3),
        Step(161.0, "suspend", seconds=65.0, anchor="sent", skip=3),
        Step(161.0, "reject", seconds=57.0, loop="side", skip=8),
        Step(161.5, "aclose", seconds=9.0, loop="side", anchor="sent", skip=2),
        Step(166.0, "call", timeout=3.0),
    ),
    "the second holder of a lease while another believes in the first": (
        World("client_credentials", "file", 3, lifetime=25, duration=240.0),
        Step(100.0, "loss", slot=2, detail="lose", seconds=75.0, loop="side", anchor="store begun"),
        Step(101.0, "stand", slot=1, seconds=28.0, anchor="store begun"),
        Step(150.0, "call", slot=1),
        Step(165.0, "call", slot=1),
        Step(165.5, "stand", slot=1, seconds=28.0, anchor="delivered", skip=5),
        Step(178.7, "call", slot=2, timeout=3.0),
        Step(180.7, "call", timeout=3.0),
    ),
    "a store that returns while a process goes on alone": (
        World("client_credentials", "file", 3, lifetime=25, duration=250.0),
        Step(124.8, "outage", detail="hang", seconds=60.0),
        Step(125.6, "store_fault", slot=1, detail="hung", seconds=14.5, loop="side", skip=2),
        Step(139.4, "call", slot=1, timeout=0.3),
        Step(162.0, "call", slot=2, loop="side"),
    ),
    "forgotten by the holder of the lease for whom another waits": (
        World("client_credentials", "file", 3, lifetime=25, duration=250.0),
        Step(124.8, "outage", detail="hang", seconds=60.0),
        Step(163.7, "call", slot=2, loop="side"),
        Step(166.0, "call"),
        Step(166.3, "forget", slot=2, seconds=0.5, loop="side", anchor="arrived", skip=5),
    ),
    "a sign-in under another key by a clock that is behind": (
        World(
            "signed_in",
            "redis",
            3,
            120,
            duration=390.0,
            wall_offsets=(-45.0, 0.0, 0.0),
            wrong_key=0,
        ),
        Step(94.0, "job", slot=2, seconds=0.05),
        Step(101.6, "forget", slot=2, seconds=28.0, skip=3),
        Step(101.7, "set_token", seconds=16.0, anchor="store done", skip=3),
        Step(101.9, "job", timeout=0.3),
    ),
    "callers begin a flight as forget ends": (
        SERVICE,
        Step(100.0, "job", timeout=12.0, seconds=0.3),
        Step(100.0, "job", timeout=12.0, seconds=0.3),
        Step(140.0, "forget", loop="side", anchor="delivered"),
        Step(170.0, "job", timeout=3.0),
        Step(170.0, "call", timeout=3.0),
        Step(170.0, "call", timeout=3.0, loop="side"),
    ),
    "a loop is closed and two callers come at once": (
        SERVICE,
        Step(99.0, "close_loop", anchor="sent", skip=5),
        Step(100.0, "call"),
        Step(120.0, "call"),
        Step(120.0, "call", loop="side"),
    ),
    "a sign-in that the store does not learn of at once, after two that it has": (
        World("signed_in", "file", processes=2, lifetime=300, duration=400.0),
        Step(38.0, "set_token"),
        Step(255.0, "store_fault", slot=-1, detail="away", seconds=6.5),
        Step(255.1, "set_token", slot=1),
        Step(390.0, "call", slot=1),
    ),
    "a job that leads ends, and its process leads again while another waits": (
        World("client_credentials", "memory", processes=2, lifetime=25, duration=90.0),
        Step(8.0, "outage", detail="hang", seconds=150.0),
        # Its request leaves so late that it is not repeated, which would mark the entry.
        Step(25.0, "vault", detail="hangs", seconds=6.0),
        Step(25.8, "job", timeout=12.0, seconds=2.0),
        Step(26.3, "job", slot=1, seconds=0.3),
        Step(26.9, "call"),
    ),
    "a clock is set back while a late response is written": (
        World(
            "client_credentials",
            "redis",
            processes=2,
            lifetime=25,
            duration=250.0,
            counts_suspend=False,
        ),
        Step(19.3, "block", seconds=55.0, anchor="delivered", skip=2),
        Step(20.4, "close_loop", slot=1, anchor="delivered"),
        Step(27.6, "call"),
        Step(28.3, "call", slot=1),
        Step(31.0, "wall", seconds=-7200.0, anchor="store done", skip=3),
        Step(90.0, "outage", detail="firewall", seconds=60.0, timeout=30),
        Step(101.7, "call", slot=1),
    ),
    "a vault that hangs between the mark and a request whose response is lost": (
        World("signed_in", "", processes=1, lifetime=25, duration=115.0),
        Step(66.0, "vault", detail="hangs", seconds=8.3, anchor="delivered"),
        Step(66.5, "loss", detail="truncate", anchor="delivered", skip=13),
        Step(67.0, "reject"),
        Step(75.0, "call"),
        Step(76.3, "call", timeout=0.3),
    ),
    "killed while the store has not learned of its sign-in": (
        World("signed_in", "redis", processes=1, lifetime=25, duration=190.0),
        Step(132.5, "revoke"),
        Step(141.6, "store_fault", detail="hung", seconds=67.0),
        Step(141.6, "set_token", loop="side"),
        Step(161.3, "kill", seconds=0.5),
    ),
    "closed by another loop while the flight's loop is blocked": (
        World("signed_in", "redis", processes=1, lifetime=60, duration=260.0),
        Step(12.5, "block", seconds=1.7, anchor="store done", skip=13),
        Step(
            38.4,
            "aclose",
            detail="cancelled",
            timeout=0.13,
            seconds=16.0,
            loop="side",
            anchor="store begun",
            skip=2,
        ),
        Step(66.6, "call", timeout=12.0),
    ),
    "a sleep while the clock is set back, between a response and its write": (
        World(
            "signed_in",
            "redis",
            processes=2,
            lifetime=60,
            duration=200.0,
            counts_suspend=False,
            wall_offsets=(0.0, 200.0, 0.0),
        ),
        Step(74.0, "suspend", slot=1, seconds=9.5, anchor="arrived", skip=3),
        Step(74.0, "wall", slot=1, seconds=-7200.0, anchor="delivered", skip=3),
        Step(74.5, "call", slot=1),
        Step(76.0, "call"),
        Step(134.9, "call"),
    ),
    "the store's answers are lost while another clock signs in": (
        World(
            "signed_in",
            "redis",
            2,
            25,
            rotates=False,
            duration=172.0,
            wall_offsets=(0.0, -45.0, 0.0),
        ),
        Step(92.5, "set_token", seconds=1.8, anchor="sent"),
        Step(92.5, "store_fault", slot=1, detail="loses answers", seconds=66.0, skip=2),
        Step(104.8, "set_token", slot=1, seconds=16.0, loop="side", anchor="store done", skip=1),
        Step(104.9, "job"),
        Step(108.0, "job", slot=1, seconds=0.3, loop="side", timeout=12.0),
    ),
    "an older sign-in is set last, by a process that was frozen in its call": (
        World(
            "signed_in",
            "redis",
            processes=2,
            lifetime=300,
            duration=462.0,
            counts_suspend=False,
            wall_offsets=(200.0, 0.0, 0.0),
        ),
        Step(114.5, "freeze", seconds=71.6, anchor="delivered", skip=13),
        Step(135.6, "set_token", slot=1, seconds=0.5, anchor="store done", skip=2),
        Step(183.5, "set_token", seconds=55.6, anchor="delivered", skip=5),
        Step(249.5, "call", timeout=3.0),
        Step(321.0, "call", slot=1, timeout=0.3),
    ),
    "the store loses its memory, and its count of leases, under a lease": (
        World("signed_in", "redis", processes=1, lifetime=25, duration=330.0),
        Step(299.0, "amnesia", anchor="store begun", skip=10),
        *(Step(30.0 * at, "call") for at in range(1, 11)),
    ),
    "a response is read while the next flight waits for its redemption time": (
        World("signed_in", "", processes=1, lifetime=60, duration=161.6, counts_suspend=False),
        Step(19.3, "stand", seconds=12.4, anchor="sent", skip=8),
        Step(19.3, "suspend", seconds=64.4, anchor="sent", skip=5),
        Step(70.3, "call", timeout=12.0),
        Step(73.0, "loss", detail="reset", seconds=13.1, anchor="sent", skip=2),
        Step(73.4, "call", timeout=12.0, loop="side"),
        Step(81.1, "call"),
    ),
    "a sign-in is set while a flight waits for a closed loop's exchange": (
        World("signed_in", "", processes=1, lifetime=900, duration=3545.6, grace=30.0),
        Step(850.3, "set_token", seconds=12.1, anchor="sent", skip=5),
        Step(850.3, "close_loop", seconds=63.9, anchor="arrived"),
        Step(1709.3, "call"),
        Step(1815.6, "call", timeout=3.0),
    ),
    **{
        f"closed while a loop stands still {skip} callbacks after {anchor}, and then goes on": (
            World("signed_in", store, processes=1, lifetime=60, duration=200.0),
            Step(100.0, "stand", seconds=25.0, anchor=anchor, skip=skip),
            Step(100.0, "call"),
            Step(110.0, "aclose", loop="side", seconds=40.0),
        )
        for store, anchor, skip in (
            ("", "step", 3),
            ("", "step", 6),
            ("redis", "store done", 8),
            ("redis", "store done", 11),
        )
    },
    **{
        f"closed while the loop of a sign-out stands still {skip} callbacks after its begin": (
            World("signed_in", "", processes=1, lifetime=60, duration=200.0),
            Step(100.0, "stand", seconds=25.0, anchor="step", skip=skip),
            Step(100.0, "sign_out"),
            Step(110.0, "aclose", loop="side", seconds=40.0),
        )
        for skip in (1, 4)
    },
    "closed while one sign-out waits for another": (
        FLEET,
        Step(99.0, "vault", detail="hangs", seconds=5.0),
        Step(100.0, "sign_out"),
        Step(101.0, "sign_out"),
        Step(102.0, "aclose", seconds=40.0),
    ),
    **{
        f"a sign-in {skip} callbacks after forget began, in the same instant": (
            ALONE,
            Step(163.0, "set_token", anchor="step", skip=skip),
            Step(164.0, "forget"),
        )
        for skip in (1, 3)
    },
    "a sign-in by a clock that is behind, while a store that is back is left alone": (
        World(
            "signed_in",
            "redis",
            processes=2,
            lifetime=60,
            duration=200.0,
            wall_offsets=(200.0, 0.0, 0.0),
        ),
        Step(100.0, "store_fault", slot=1, detail="away", seconds=0.5),
        Step(100.2, "call", slot=1, timeout=0.3),
        Step(101.5, "set_token", slot=1),
        Step(170.0, "call", slot=1),
    ),
    "a wall clock is set back before a blocked loop sets its token": (
        ALONE,
        Step(100.0, "block", seconds=1.6),
        Step(100.1, "set_token"),
        Step(100.5, "wall", seconds=-100.0),
        Step(140.0, "outage", detail="500", seconds=60.0),
        Step(160.9, "call"),
    ),
    **{
        f"frozen {skip} callbacks into a flight without a store, and the response is lost": (
            ALONE,
            Step(100.0, "loss", detail="reset"),
            Step(100.0, "freeze", seconds=10.3, anchor="step", skip=skip),
            Step(100.0, "call"),
            Step(116.0, "call"),
        )
        for skip in (3, 4)
    },
    "a token is written back by another clock than its issuer's": (
        World(
            "signed_in",
            "redis",
            processes=3,
            lifetime=60,
            duration=200.0,
            wall_offsets=(200.0, 0.0, 0.0),
        ),
        Step(10.0, "call", slot=1),
        Step(65.0, "outage", detail="503", seconds=40.0),
        Step(66.0, "amnesia"),
        Step(70.0, "call", slot=1),
        Step(75.0, "call", slot=2),
    ),
    "a store that has lost its memory gets another clock's token with a mark": (
        World(
            "client_credentials",
            "redis",
            processes=3,
            lifetime=60,
            duration=200.0,
            wall_offsets=(200.0, 0.0, 0.0),
        ),
        Step(100.0, "call"),
        Step(162.0, "outage", detail="hang", seconds=30.0),
        Step(163.0, "call"),
        Step(164.0, "call", slot=2),
        Step(165.0, "amnesia"),
        Step(168.0, "call", slot=1),
    ),
    "a token is written back after a restart, by a clock that was set back": (
        World("signed_in", "redis", processes=1, lifetime=25, duration=240.0),
        Step(34.0, "wall", seconds=-7200.0),
        Step(158.0, "kill", seconds=0.1, anchor="sent", skip=2),
        Step(158.3, "call"),
        Step(162.0, "call", timeout=0.3),
        Step(164.0, "amnesia"),
        Step(166.0, "call"),
    ),
    "closed and started again in an outage": (
        World("client_credentials", "", processes=1, lifetime=25, duration=181.0),
        Step(130.0, "outage", detail="503", seconds=51.0),
        *(Step(131.0 + 2 * at, "call") for at in range(12)),
        Step(155.5, "aclose", seconds=0.1),
        *(Step(157.0 + 2 * at, "call") for at in range(11)),
    ),
    "services without faults, of which one has another key": (
        World(
            "client_credentials", "redis", processes=3, lifetime=900, duration=2630.0, wrong_key=2
        ),
        *(
            Step(at, "call", slot=slot, timeout=12.0)
            for at, slot in (
                (26.0, 1),
                (63.0, 2),
                (749.5, 0),
                (821.0, 2),
                (1751.0, 0),
                (1771.0, 2),
                (1789.0, 1),
                (2612.0, 2),
                (2624.0, 0),
            )
        ),
    ),
    **{
        f"a third process leads {seconds} s after a leader for whom another waits was killed": (
            World("client_credentials", "redis", processes=3, lifetime=60, duration=200.0),
            Step(99.0, "outage", detail="hang", seconds=60.0),
            Step(99.5, "kill", seconds=100.0, anchor="arrived"),
            Step(100.0, "call"),
            Step(100.3, "call", slot=1),
            Step(100.0 + seconds, "call", slot=2),
        )
        for seconds in (10.1, 10.2)
    },
    **{
        f"a sign-in on a {loop} loop of the process that presents the older one, {store}": (
            World("signed_in", store, processes=2, lifetime=25, duration=200.0),
            Step(99.0, "set_token", slot=1, loop=loop, anchor="sent", skip=2),
            Step(100.0, "call", slot=1, timeout=12.0),
            Step(175.0, "call", slot=1),
        )
        for store, loop in (("redis", "side"), ("file", "main"))
    },
    **{
        f"a response that lies in the socket of a blocked process, {store}": (
            World("signed_in", store, processes=2, lifetime=60, duration=200.0),
            Step(99.0, "block", seconds=31.0, anchor="arrived"),
            Step(100.0, "call"),
            Step(190.0, "call", slot=1),
        )
        for store in ("redis", "file")
    },
    **{
        f"blocked {skip} callbacks after the store was first asked": (
            FLEET,
            Step(99.0, "block", seconds=25.0, anchor="store begun", skip=skip),
            Step(100.0, "call"),
            Step(105.0, "call", slot=1),
            Step(165.0, "call", slot=1),
        )
        for skip in (14, 18)
    },
    **{
        f"a lease on a loop that stands still once its request was {anchor}, and a loop beside it": (
            SERVICES,
            Step(99.0, "stand", seconds=400.0, anchor=anchor),
            Step(100.0, "call", timeout=0.3),
            Step(103.0, "call", loop="side", timeout=12.0),
            Step(150.0, "call", slot=1),
        )
        for anchor in ("sent", "delivered")
    },
    "a call on another loop after a sign-in, while the flight before it goes on": (
        ALONE,
        Step(99.0, "set_token", anchor="sent"),
        Step(99.0, "call", loop="side", anchor="sent", skip=3),
        Step(100.0, "call"),
    ),
    "a call after two sign-ins, while the flight before them goes on": (
        ALONE,
        Step(99.0, "set_token", anchor="arrived"),
        Step(99.0, "set_token", anchor="arrived", skip=1),
        Step(99.0, "call", anchor="arrived", skip=3),
        Step(100.0, "call"),
    ),
    "a rejected token in a file while the provider closes": (
        FILES,
        Step(30.0, "reject"),
        Step(31.0, "aclose", loop="side", anchor="store begun", skip=4, seconds=70.0),
        Step(31.1, "call", timeout=0.3),
    ),
    "two processes reject a token while a third refreshes": (
        World("signed_in", "redis", processes=3, lifetime=60, duration=200.0),
        Step(1.0, "call", slot=1),
        Step(1.5, "call", slot=2),
        Step(52.0, "freeze", seconds=8.0, anchor="sent"),
        Step(52.0, "call"),
        Step(52.5, "reject", slot=1),
        Step(52.51, "reject", slot=2, loop="side"),
        Step(52.6, "call", slot=1),
        Step(52.6, "call", slot=2, loop="side", timeout=3.0),
    ),
    **{
        f"the loops of two flights {how} under callers of {timeout:g} s": (
            SERVICE,
            Step(90.0, "outage", detail="hang", seconds=90.0),
            Step(100.0, "call", timeout=timeout),
            Step(100.05, "call", loop="side", timeout=timeout),
            Step(100.2, kind, seconds=30.0),
            Step(101.0, "call", timeout=timeout),
            Step(102.0, kind, loop="side", seconds=30.0),
            Step(103.0, "call", timeout=timeout),
        )
        for kind, how, timeout in (("end_run", "end", 3.0), ("close_loop", "are closed", 12.0))
    },
    "a sign-in that a process takes along as it closes, and the older one's lost response": (
        World("signed_in", "redis", processes=3, lifetime=300, duration=563.9),
        Step(77.4, "aclose", slot=2, seconds=6.9, anchor="store begun", skip=0),
        Step(119.6, "store_fault", slot=-1, detail="hung", seconds=9.4),
        Step(128.0, "set_token", slot=2, seconds=54.4),
        Step(129.5, "loss", slot=1, detail="truncate", seconds=12.9, anchor="delivered", skip=3),
        Step(288.3, "call", slot=1),
        Step(306.3, "call", slot=2, timeout=12.0),
        Step(558.5, "call", slot=2),
    ),
}


def make_history(name, seed):
    """Make the plan of a history."""
    world, *steps = HISTORIES[name]
    return Plan(seed, world, tuple(sorted(steps, key=lambda step: step.at)))
