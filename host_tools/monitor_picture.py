"""Draws the picture of the monitor for the documents: `python -m host_tools.monitor_picture FILE.svg`."""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path

from host_tools.monitor import Monitor
from host_tools.virtual_drive import VirtualDrive


def keep_to_itself(picture: str) -> str:
    """The picture without fonts and remarks that point elsewhere: a page shows it without a network."""
    return re.sub(r"@font-face \{.*?\}|<!--.*?-->", "", picture, flags=re.DOTALL)


async def draw(path: Path) -> None:
    """Arm unit a, turn it, take the picture, stop it."""
    app = Monitor()
    async with app.run_test(size=(104, 34)):

        async def wait(state: str, then: float = 0.0) -> None:
            while app.drive is None or state not in str(app.query_one("#state").render()):
                await asyncio.sleep(0.1)
            await asyncio.sleep(then)

        await wait("off")
        app.simulate_key("A")
        await wait("ready")
        app.command("speed", lambda drive: drive.set_speed(120.0))
        await wait("running", 4.0)
        app.command("speed", lambda drive: drive.set_speed(60.0))
        await asyncio.sleep(1.0)
        path.write_text(keep_to_itself(app.export_screenshot(title="eesm monitor")))
        app.simulate_key("q")
        while app.is_running:
            await asyncio.sleep(0.1)


if __name__ == "__main__":
    with VirtualDrive("a"):
        asyncio.run(draw(Path(sys.argv[1])))
