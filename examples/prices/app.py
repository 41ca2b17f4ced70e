"""Live prices in the browser: a broker mounted in a FastAPI application.

Run it with ``scripts/example`` and open http://127.0.0.1:8000/.

The application publishes prices to ``/topic/prices`` and reads the orders that
browsers send to ``/queue/orders``; the page uses @stomp/stompjs.
"""

import asyncio
import json
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI
from fastapi.responses import FileResponse

from romp_asgi import Romp

romp = Romp()
prices = {"ACME": 100.0, "INIT": 42.0, "UMBR": 7.5}


async def tick() -> None:
    """Publish a new price four times a second."""
    while True:
        symbol = random.choice(list(prices))
        prices[symbol] = round(prices[symbol] * random.uniform(0.99, 1.01), 2)
        body = json.dumps({"symbol": symbol, "price": prices[symbol]})
        await romp.publish("/topic/prices", body, {"content-type": "application/json"})
        await asyncio.sleep(0.25)


async def take_orders() -> None:
    """Answer each order, at the price of the moment."""
    async with romp.subscribe("/queue/orders") as orders:
        async for order in orders:
            symbol = order.text
            if symbol in prices:
                body = f"You have one {symbol} for {prices[symbol]}."
            else:
                body = f"There is no {symbol[:20]}."
            await romp.publish(order.headers["reply-to"], body)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """The application's own lifespan, with the broker's in it."""
    async with romp.lifespan(app), asyncio.TaskGroup() as tasks:
        background = [tasks.create_task(tick()), tasks.create_task(take_orders())]
        yield
        for task in background:
            task.cancel()


app = FastAPI(lifespan=lifespan)
app.mount("/romp", romp)


@app.get("/")
async def page() -> FileResponse:
    """The page."""
    return FileResponse(Path(__file__).parent / "index.html")


@app.get("/prices")
async def all_prices() -> dict[str, float]:
    """All prices as they are now, by an ordinary route beside the broker."""
    return prices
