"""Sessions that stay with their member, by a cookie of the gateway's own.

Whoever comes without one is sent anywhere; the answer gives a cookie that ends in the
member's route, `ROUTEID=.worker1`. Where that member has died, the session goes to
another one and gets its cookie.
"""

import json

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports.affinity import Hold, Pin_Route
from wit_world.exports.lifecycle import (
    Concurrency,
    Context,
    Descriptor,
    Hook,
    Problem,
    Trigger_Cookie,
)
from wit_world.imports import request, response
from wit_world.imports.types import Edit_Append

COOKIE = "ROUTEID"


class Lifecycle(exports.Lifecycle):
    def describe(self, config: str) -> Descriptor:
        """An instance for each worker, since nothing is remembered here. Requests without the
        cookie need not be asked about; `bind` has no trigger, since any answer may begin a session."""
        triggers = [(Hook.LOCATE, Trigger_Cookie(COOKIE))]
        return Descriptor(concurrency=Concurrency.REPLICATED, triggers=triggers, tick_ms=0)

    def init(self, config: str, context: Context) -> None:
        """A configuration that is refused is raised as a list of problems, each with its place."""
        keys = json.loads(config)
        if keys:
            raise Err([Problem(f"/{key}", "this policy takes no configuration") for key in keys])


class Affinity(exports.Affinity):
    def locate(self) -> Hold | None:
        """What stands behind the first dot is the route; the gateway finds the member, and asks
        the balancer where there is none. `strict` would refuse the request instead."""
        # A client may send any octets; those of no route belong to nobody.
        value = (request.cookie(COOKIE) or b"").decode("ascii", "replace")
        _, _, route = value.partition(".")
        return Hold(Pin_Route(route), strict=False) if route else None

    def bind(self) -> list[Edit_Append]:
        """A client that holds the right cookie is sent none."""
        route = response.member_route()
        if not route or request.cookie(COOKIE) == f".{route}".encode():
            return []
        line = f"{COOKIE}=.{route}; Path=/; HttpOnly; SameSite=Lax"
        return [Edit_Append(("set-cookie", line.encode()))]
