"""A user's own asynchronous program: many sandboxes at once."""

import asyncio
import os

import miosa
from _support import STYLE


async def one(user, number):
    box = await user.sandboxes.create(cpu_count=1, memory_mb=512, disk_size_mb=1024)
    async with box:
        assert await box.wait_until_ready(timeout=120)
        done = await box.exec.run(f"echo {number}")
        lines = [event.data["line"] async for event in box.exec.stream("echo a; echo b") if event.type == "stdout"]
        assert [line.strip() for line in lines] == ["a", "b"], lines
        return int(done.stdout)


async def main():
    async with miosa.AsyncMiosa(
        api_key=os.environ["MIOSA_API_KEY"], base_url=os.environ["MIOSA_BASE_URL"]
    ) as user:
        assert await asyncio.gather(*(one(user, number) for number in range(6))) == list(range(6))


if STYLE == "async":
    asyncio.run(main())
else:
    with miosa.Miosa(api_key=os.environ["MIOSA_API_KEY"], base_url=os.environ["MIOSA_BASE_URL"]) as user:
        with user.sandboxes.create() as box:
            assert box.wait_until_ready(timeout=60) and box.exec.run("echo hi").stdout == "hi\n"
        assert box.state == "destroyed"
