"""Smooth weighted round robin, as the built-in policy byrequests does it.

Each round every member that may serve is paid its weight; the richest one serves and
pays back the sum of all payments, so the accounts always add up to 0.

    weights a=2 b=1 | round 1: a+2 b+1 -> a serves (-1, 1)
                    | round 2: a=1 b=2 -> b serves ( 1,-1)
                    | round 3: a=3 b=0 -> a serves ( 0, 0)   schedule: a b a
"""

import json

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports.balancer import Verdict_Abstain, Verdict_Member
from wit_world.exports.lifecycle import Concurrency, Context, Descriptor, Problem
from wit_world.imports import pool, request
from wit_world.imports.types import Member


class State:
    """Of the one instance that serves the pool."""

    # One account for each member, in the order of the last members_changed.
    ids: list[str] = []
    accounts: list[int] = []
    # The pool's columns, pulled again when `state` says that they may have changed.
    known: int | None = None
    usable: bytes = b""
    weights: list[int] = []


class Lifecycle(exports.Lifecycle):
    def describe(self, config: str) -> Descriptor:
        """One instance for the whole pool, no triggers, no ticks."""
        return Descriptor(concurrency=Concurrency.EXCLUSIVE, triggers=[], tick_ms=0)

    def init(self, config: str, context: Context) -> None:
        """A configuration that is refused is raised as a list of problems, each with its place."""
        keys = json.loads(config)
        if keys:
            raise Err([Problem(f"/{key}", "this policy takes no configuration") for key in keys])


class Membership(exports.Membership):
    def members_changed(self, revision: int, members: list[Member]) -> None:
        """Who stays keeps its account."""
        before = dict(zip(State.ids, State.accounts))
        State.ids = [member.id for member in members]
        State.accounts = [before.get(name, 0) for name in State.ids]
        State.known = None


class Balancer(exports.Balancer):
    def pick(self, attempt: int, state: int) -> Verdict_Member | Verdict_Abstain:
        if state != State.known:
            State.usable = pool.usable()
            State.weights = pool.weights()
            State.known = state
        tried = request.tried() if attempt > 0 else []
        total, best = 0, None
        for at in range(len(State.accounts)):
            if State.usable[at] != 1 or at in tried:
                continue
            total += State.weights[at]
            State.accounts[at] += State.weights[at]
            if best is None or State.accounts[at] > State.accounts[best]:
                best = at
        if best is None:
            return Verdict_Abstain()
        State.accounts[best] -= total
        return Verdict_Member(best)
