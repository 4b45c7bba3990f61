"""The official Python SDK of MCP as client of `miosa mcp --http`: an agent is run and followed, a file is read piece by
piece, a web address is asked for, and what is wrong is told with its code."""

import asyncio
import datetime
import json
import os

from mcp import ClientSession
from mcp.client.streamable_http import streamablehttp_client

AGENT = "sh -c 'echo step one; echo step two; seq 1 9000 > /workspace/long.txt; echo \"did: $MIOSA_INSTRUCTION\"'"


async def done(session, tool, **arguments):
    result = await session.call_tool(tool, arguments)
    assert not result.isError, (tool, result)
    text = json.loads(result.content[0].text)
    assert text == result.structuredContent, "the text is the same JSON"
    return result.structuredContent


async def runs_an_agent(session, sandbox):
    seen = []

    async def progress(_count, _total, message):
        seen.append(message)

    arguments = {"sandbox_id": sandbox, "runner": "custom", "command": AGENT, "instruction": "count", "wait_sec": 100}
    result = await session.call_tool(
        "run_create", arguments, progress_callback=progress, read_timeout_seconds=datetime.timedelta(seconds=110)
    )
    run = result.structuredContent
    assert run["status"] == "succeeded" and "did: count" in run["output"], run
    assert any("step one" in message for message in seen), seen
    events = await done(session, "run_events", run_id=run["id"])
    kinds = [event["type"] for event in events["events"]]
    assert kinds[0] == "run.started" and kinds[-1] == "run.finished", kinds
    later = await done(session, "run_events", run_id=run["id"], after_id=events["events"][-2]["id"])
    assert [event["type"] for event in later["events"]] == ["run.finished"], later
    listed = await done(session, "run_list", sandbox_id=sandbox)
    assert [one["id"] for one in listed["runs"]] == [run["id"]], listed
    assert (await done(session, "run_get", run_id=run["id"]))["status"] == "succeeded"
    started = await done(
        session, "run_create", sandbox_id=sandbox, runner="custom", command="sh -c 'sleep 600'", instruction="x", wait_sec=0
    )
    assert "run_get" in started["next"], started
    canceled = await done(session, "run_cancel", run_id=started["id"])
    assert canceled["status"] == "canceled", canceled


async def reads_piece_by_piece(session, sandbox):
    pieces, offset = [], 0
    while offset is not None:
        piece = await done(session, "sandbox_read_file", sandbox_id=sandbox, path="/workspace/long.txt", offset=offset)
        assert len(piece["content"]) <= 32 * 1024, len(piece["content"])
        pieces.append(piece["content"])
        offset = piece.get("next_offset")
    assert len(pieces) == 2, len(pieces)
    assert "".join(pieces) == "".join(f"{number}\n" for number in range(1, 9001))
    shown = await done(session, "sandbox_exec", sandbox_id=sandbox, command="cat long.txt", cwd="/workspace")
    assert shown["truncated"] and shown["stdout"].startswith("1\n2\n") and shown["stdout"].endswith("9000\n")


async def is_told_what_is_wrong(session, sandbox):
    unknown = await session.call_tool("connector_attach", {"sandbox_id": sandbox, "connector": "no/such"})
    assert unknown.isError and unknown.structuredContent["error"]["code"] == "CONNECTOR_NOT_FOUND", unknown
    assert unknown.content[0].text.startswith("CONNECTOR_NOT_FOUND: "), unknown
    extra = await session.call_tool("sandbox_get", {"sandbox_id": sandbox, "token": "x"})
    assert extra.isError and extra.structuredContent["error"]["code"] == "VALIDATION_FAILED", extra


async def looks_at_rules(session, sandbox):
    rule = await done(session, "miosa_network_deny", sandbox_id=sandbox, host="telemetry.example.com")
    shown = await done(session, "miosa_network_show", sandbox_id=sandbox)
    assert rule["id"] in [one["id"] for one in shown["rules"]], shown
    why = await done(session, "miosa_network_why", sandbox_id=sandbox, url="https://telemetry.example.com/x")
    assert (why["decision"], why["rule"]) == ("deny", rule["id"]), why
    await done(session, "miosa_network_remove", rule_id=rule["id"])
    locked = await done(session, "miosa_network_lockdown", sandbox_id=sandbox)
    assert locked["mode"] == "enforce", locked
    preview = await done(session, "sandbox_expose", sandbox_id=sandbox, port=3000)
    assert preview["url"].startswith("http"), preview


async def main():
    headers = {"Authorization": f"Bearer {os.environ['MIOSA_API_KEY']}"}
    async with streamablehttp_client(os.environ["MIOSA_MCP_URL"], headers=headers) as (reads, writes, _):
        async with ClientSession(reads, writes) as session:
            await session.initialize()
            tools = (await session.list_tools()).tools
            assert all(tool.description and tool.inputSchema["type"] == "object" for tool in tools)
            made = await done(session, "sandbox_create", name="by-python", size=None)
            sandbox = made["id"]
            found = await done(session, "sandbox_get", sandbox_id="by-python")
            assert found["id"] == sandbox, found
            await runs_an_agent(session, sandbox)
            await reads_piece_by_piece(session, sandbox)
            await is_told_what_is_wrong(session, sandbox)
            await looks_at_rules(session, sandbox)
            await done(session, "sandbox_stop", sandbox_id=sandbox)
            stopped = await session.call_tool("sandbox_wait", {"sandbox_id": sandbox})
            assert stopped.structuredContent["error"]["code"] == "SANDBOX_NOT_RUNNING", stopped
            await done(session, "sandbox_resume", sandbox_id=sandbox)
            await done(session, "sandbox_wait", sandbox_id=sandbox)
            await done(session, "sandbox_destroy", sandbox_id=sandbox)
    print("done")


asyncio.run(main())
