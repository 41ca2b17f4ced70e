"""Plug-ins, as a romp.toml of the tests names them."""

from romp_asgi import Romp
from romp_asgi.filters import HANDLED, Context, Outcome, StompMessage
from romp_asgi.stomp.spec import Command

installed: list[Romp] = []
number = 7


def install(romp: Romp) -> None:
    installed.append(romp)


def fail(romp: Romp) -> None:
    raise ValueError("no luck")


async def wait(romp: Romp) -> None:
    """A function that there is no loop for."""


class Answer:
    """Answers SENDs to /virt/answer."""

    def do_filter(self, context: Context, message: StompMessage) -> Outcome | None:
        if message.command is not Command.SEND:
            return None
        if message.destination != "/virt/answer":
            return None
        context.session.send_message("/virt/answer", f"for {context.session.user}")
        return HANDLED


answer = Answer()
