"""Text, binary, fragments and a ping with real `websockets`."""
import asyncio, os

import websockets

TOKEN = os.environ["GITHUB_TOKEN"]


async def main():
    headers = {"authorization": "Bearer " + TOKEN}
    async with websockets.connect("wss://api.github.com/socket", additional_headers=headers) as socket:
        for message in ("text", TOKEN, bytes(range(256)) * 300, *(f"m{chr(byte)}" for byte in range(33, 127))):
            await socket.send(message)
            assert await asyncio.wait_for(socket.recv(), 20) == message
        await socket.send(["in ", "three ", "pieces"])
        assert await asyncio.wait_for(socket.recv(), 20) == "in three pieces"
        await asyncio.wait_for(await socket.ping(), 20)
    print("fine")


asyncio.run(main())
