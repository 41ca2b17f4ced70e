"""The pages for people and for monitoring: what runs here, and that it does."""

import html

from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response

from romp_asgi.hub import Hub

_HOME = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{server}</title>
<style>
  body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 50rem; margin: 3rem auto;
         padding: 0 1rem; color: #222; }}
  code, pre {{ background: #f3f3f3; border-radius: 4px; }}
  code {{ padding: .1em .3em; }}  pre {{ padding: 1rem; overflow-x: auto; }}
</style>
<h1>{server}</h1>
<p>A STOMP 1.0, 1.1 and 1.2 message broker runs here
(<a href="https://stomp.github.io/">what is STOMP?</a>).</p>
<p>From a browser, connect by WebSocket to <code id="url">this address</code>, for
example with <a href="https://github.com/stomp-js/stompjs">@stomp/stompjs</a>:</p>
<pre>import {{ Client }} from "@stomp/stompjs";

const client = new Client({{ brokerURL: "<span id="url2">ws://…</span>" }});
client.onConnect = () =&gt; {{
  client.subscribe("/topic/greetings", (message) =&gt; console.log(message.body));
  client.publish({{ destination: "/topic/greetings", body: "hello" }});
}};
client.activate();</pre>
{tcp}
<p>Is it well? <a href="{root}/health_check">health_check</a> answers 200.</p>
<script>
  const url = location.href.replace(/^http/, "ws").replace(/[?#].*/, "") + "{path}";
  document.getElementById("url").textContent = url;
  document.getElementById("url2").textContent = url;
</script>
</html>
"""

_TCP = "<p>Other clients connect by TCP to {addresses}.</p>"


class Pages:
    """The HTTP pages.

    Args:
        hub: what all sessions share.
        addresses: gives the ``host:port`` of each TCP listener that is open.
    """

    def __init__(self, hub: Hub, addresses: list[str]) -> None:
        self._hub = hub
        self._addresses = addresses

    async def health_check(self, request: Request) -> Response:
        """200 while the server runs."""
        return PlainTextResponse("")

    async def home(self, request: Request) -> Response:
        """What runs here, and how to connect."""
        addresses = ", ".join(f"<code>{each}</code>" for each in self._addresses)
        page = _HOME.format(
            server=html.escape(self._hub.config.name),
            root=request.scope.get("root_path", ""),
            path=(self._hub.config.websocket_path or "").lstrip("/"),
            tcp=_TCP.format(addresses=addresses) if addresses else "",
        )
        return HTMLResponse(page)

    async def not_found(self, request: Request, exc: Exception) -> Response:
        """404 for anything else."""
        return PlainTextResponse("Not found\n", 404)
