"""
The five scripts that a Redis server runs for the store, each of constant cost.

    {prefix}:{key}:v    a hash: the encrypted record, its generation, and the server's time stamps
    {prefix}:{key}:l    the lease: a string with its owner, which expires
    {prefix}:{key}:f    a hash: the fence of the last lease granted, and of the last that wrote

The braces are part of the names: a cluster keeps the three in one slot. A value of another type
under these names counts as none and is replaced. A script that the client sends twice, because the
first response was lost, returns the same the second time.

Time stamps, generations and fences are in clear, since the scripts compute with them. They do not
outrank the encrypted record: a token is at least as old, and a backoff at most as long, as it says.
"""

import contextlib
from collections.abc import Awaitable
from hashlib import sha1
from typing import Protocol

import attrs

_COMMON = """
local function field(key, name)
  local value = redis.pcall('HGET', key, name)
  return type(value) == 'string' and value or false
end
local function number(key, name)
  local value = tonumber(field(key, name) or '')
  -- Neither negative, nor NaN, nor beyond what a double counts exactly.
  return value and value >= 0 and value <= 9007199254740991 and value or false
end
local function generation_of(key)
  return number(key, 'generation') or redis.call('EXISTS', key)
end
local function replace(key, ...)
  -- Only if there is one: a server that is full still writes what replaces something.
  if redis.call('EXISTS', key) == 1 then redis.call('DEL', key) end
  redis.call('HSET', key, ...)
end
local function now()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
local function whole(value)
  return string.format('%.0f', value)
end
local function entry_of(key)
  local generation = generation_of(key)
  if generation == 0 then return false end
  local born, backoff = number(key, 'born'), number(key, 'backoff')
  return {
    generation,
    field(key, 'record'),
    born and now() - born or false,
    backoff and backoff - now() or false,
  }
end
local function release(key, owner)
  if owner ~= '' and redis.pcall('GET', key) == owner then redis.call('DEL', key) end
end
"""


class RedisClient(Protocol):
    """What the store needs of a client: ``redis.asyncio.Redis`` or ``RedisCluster``."""

    def execute_command(self, *args: bytes | int | str, **options: bool) -> Awaitable[object]:
        """Send a command, and return the response."""
        ...


@attrs.frozen(repr=False)
class Script:
    """
    A script, which the server knows by its digest once it was sent.

    Attributes:
        text: The script in Lua.

        is_sent_whole: Send the text instead of the digest, since nobody may be there to read the
            response that the server does not know the digest.
    """

    text: str
    is_sent_whole: bool = False
    _digest: str = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        digest = sha1(self.text.encode(), usedforsecurity=False).hexdigest()
        object.__setattr__(self, "_digest", digest)

    async def run(
        self, client: RedisClient, keys: tuple[str, ...], *arguments: bytes | int | str
    ) -> object:
        """Run the script on the server, with the names of the keys that it uses."""
        from redis.exceptions import NoScriptError  # extra "redis"

        operands = (len(keys), *keys, *arguments)
        if not self.is_sent_whole:
            with contextlib.suppress(NoScriptError):
                return await _send(client, "EVALSHA", self._digest, *operands)
        return await _send(client, "EVAL", self.text, *operands)


def _send(client: RedisClient, *command: bytes | int | str) -> Awaitable[object]:
    # Records are bytes, also for a client that decodes responses.
    return client.execute_command(*command, NEVER_DECODE=True)


LOAD = Script(_COMMON + "return entry_of(KEYS[1])")
"""Of v: nothing, or generation, record, age of the token and rest of the backoff, in ms."""

SAVE = Script(
    _COMMON
    + """
local value, fences, lease = KEYS[1], KEYS[2], KEYS[3]
local replaces, fence, record = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3]
local issued, age, life, least = ARGV[4], ARGV[5], ARGV[6], tonumber(ARGV[7])
local owner = ARGV[11]
if field(value, 'record') == record then
  release(lease, owner)
  return 1
end
if generation_of(value) ~= replaces then return 0 end
local written = number(fences, 'written') or 0
if fence > 0 and fence < written then return 0 end
local time = now()
-- The same token keeps its age, since another writer's clock may differ.
local born = field(value, 'issued') == issued and number(value, 'born') or time - age
replace(value, 'record', record, 'generation', whole(replaces + 1), 'issued', issued,
  'born', whole(born), 'backoff', whole(time + ARGV[8]))
redis.call('PEXPIRE', value, whole(math.max(born + life - time, least)))
if fence > 0 then
  replace(fences, 'granted', whole(math.max(fence, number(fences, 'granted') or 0)),
    'written', whole(fence))
  redis.call('PEXPIRE', fences, ARGV[9])
end
-- Waiters are notified; they poll where the user may not publish.
redis.pcall('PUBLISH', ARGV[10], value .. ' ' .. whole(replaces + 1))
release(lease, owner)
return 1
"""
)
"""
Of v, f and l: 1 if the record was written, 0 if its generation or a later lease forbids it.

The arguments: replaces, fence, record; the token's stamp, age and lifetime; how long to keep the
record at least; the rest of the backoff; how long to keep the fence; the channel of all changes;
the owner whose lease ends with the write, or nothing. Times are in ms.
"""

ACQUIRE = Script(
    _COMMON
    + """
local lease, fences, value, owner = KEYS[1], KEYS[2], KEYS[3], ARGV[1]
if redis.pcall('GET', lease) == owner then
  return {number(fences, 'granted'), entry_of(value)}
end
-- A key that never expires is no lease of ours, and would keep everybody out.
if redis.call('PTTL', lease) == -1 then redis.call('DEL', lease) end
if not redis.call('SET', lease, owner, 'NX', 'PX', ARGV[2]) then return false end
local written = number(fences, 'written') or 0
local fence = math.max(number(fences, 'granted') or 0, written) + 1
replace(fences, 'granted', whole(fence), 'written', whole(written))
redis.call('PEXPIRE', fences, ARGV[3])
return {fence, entry_of(value)}
"""
)
"""Of l, f and v, an owner, ms and the ms to keep the fence: nothing, or the fence and the entry."""

KEEP = Script("""
if redis.pcall('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
""")
"""Of l, an owner and ms: 1 if the owner holds the lease, which is prolonged."""

RELEASE = Script(
    """
if redis.pcall('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
""",
    is_sent_whole=True,
)
"""Of l and an owner: 1 if the owner held the lease, which is released."""
