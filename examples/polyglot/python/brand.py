"""A brand for every page: answers say who served them, and old names on pages become new ones.

    config = { old = "Acme", new = "Apex" }
"""

import json

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports.lifecycle import (
    Concurrency,
    Context,
    Descriptor,
    Hook,
    Problem,
    Trigger_ContentType,
)
from wit_world.exports.rewriter import (
    BodyPlan_Substitute,
    RequestPlan,
    ResponsePlan,
    Substitution,
)
from wit_world.imports import response
from wit_world.imports.types import Edit_Set


class Names:
    """The one that pages hold, and the one that clients see in its place."""

    old: str = ""
    new: str = ""


def problems(config: dict[str, object]) -> list[Problem]:
    """What is wrong with a configuration, each with its place."""
    due = ("old", "new")
    wrong = [Problem(f"/{key}", "there is no such key") for key in config if key not in due]
    wrong += [
        Problem(f"/{key}", "a text is due")
        for key in due
        if not isinstance(config.get(key), str)
    ]
    if config.get("old") == "":
        wrong.append(Problem("/old", "a name is due"))
    return wrong


class Lifecycle(exports.Lifecycle):
    def describe(self, config: str) -> Descriptor:
        """An instance for each worker, since nothing changes here. Only pages are worth a call:
        images pass untouched."""
        triggers = [(Hook.ON_RESPONSE, Trigger_ContentType("text/html"))]
        return Descriptor(concurrency=Concurrency.REPLICATED, triggers=triggers, tick_ms=0)

    def init(self, config: str, context: Context) -> None:
        names = json.loads(config)
        if wrong := problems(names):
            raise Err(wrong)
        Names.old, Names.new = names["old"], names["new"]


class Rewriter(exports.Rewriter):
    def on_request(self) -> RequestPlan:
        """Path and authority stay as they are."""
        headers = [Edit_Set(("x-brand", Names.new.encode()))]
        return RequestPlan(path=None, authority=None, headers=headers)

    def on_response(self) -> ResponsePlan:
        """The gateway replaces the name while the page streams through."""
        body = BodyPlan_Substitute([Substitution(Names.old.encode(), Names.new.encode())])
        headers = [Edit_Set(("x-served-by", response.member_route().encode()))]
        return ResponsePlan(status=None, headers=headers, body=body)
