"""What the programs share: a client of either style, and a sandbox that ends with the program.

Every program is written once, in the style of the synchronous client. Run with MIOSA_TEST_STYLE=async, it
gets the SDK's asynchronous client behind a thin facade that awaits whatever is awaitable, so both halves
of the SDK perform the same job against the same server.
"""

import asyncio
import contextlib
import inspect
import os
import time
import uuid

import miosa

STYLE = os.environ.get("MIOSA_TEST_STYLE", "sync")
_LOOP = asyncio.new_event_loop()


def _plain(value):
    return object.__getattribute__(value, "_inner") if isinstance(value, _Facade) else value


def _wrap(value):
    if inspect.isawaitable(value):
        return _wrap(_LOOP.run_until_complete(value))
    if inspect.isroutine(value):
        return lambda *a, **k: _wrap(value(*map(_plain, a), **{n: _plain(v) for n, v in k.items()}))
    if hasattr(value, "__aiter__"):
        return _iterate(value)
    if isinstance(value, list):
        return [_wrap(item) for item in value]
    if type(value).__module__.split(".")[0] == "miosa":
        return _Facade(value)
    return value


def _iterate(stream):
    iterator = stream.__aiter__()
    try:
        while True:
            try:
                item = _LOOP.run_until_complete(iterator.__anext__())
            except StopAsyncIteration:
                return
            yield _wrap(item)
    finally:
        if hasattr(iterator, "aclose"):
            _LOOP.run_until_complete(iterator.aclose())


class _Facade:
    """An object of the asynchronous SDK with its awaiting done for the caller."""

    def __init__(self, inner):
        object.__setattr__(self, "_inner", inner)

    def __getattr__(self, name):
        return _wrap(getattr(_plain(self), name))

    def __repr__(self):
        return repr(_plain(self))


def client(api_key=None, **options):
    """A client of the server under test; address and key come from the environment, as for any user."""
    if api_key:
        options["api_key"] = api_key
    else:
        options["api_key"] = os.environ["MIOSA_API_KEY"]
    options["base_url"] = os.environ["MIOSA_BASE_URL"]
    return _Facade(miosa.AsyncMiosa(**options)) if STYLE == "async" else miosa.Miosa(**options)


def unique(prefix):
    """A name no other program uses."""
    return f"{prefix}-{uuid.uuid4().hex[:10]}"


@contextlib.contextmanager
def sandbox(user, **options):
    """A running sandbox, destroyed at the end."""
    box = user.sandboxes.create(**options)
    try:
        assert box.wait_until_ready(timeout=60), "not ready in a minute"
        yield box
    finally:
        with contextlib.suppress(miosa.NotFoundError):
            box.destroy()


@contextlib.contextmanager
def raises(kind, code=None, status=None):
    """Expects exactly this class of the SDK's exceptions; `MiosaError` stands for any of them."""
    try:
        yield
    except miosa.MiosaError as error:
        assert kind is miosa.MiosaError or type(error) is kind, f"{type(error).__name__} instead of {kind.__name__}: {error!r}"
        assert code is None or error.code == code, f"code {error.code}: {error!r}"
        assert status is None or error.status_code == status, f"status {error.status_code}: {error!r}"
        assert error.message and "request failed with status" not in error.message, f"no sentence: {error!r}"
        assert error.request_id, f"no request id: {error!r}"
    else:
        raise AssertionError(f"nothing raised, {kind.__name__} expected")


def eventually(check, seconds=20, what="it"):
    """What `check` gives once it is true."""
    deadline = time.monotonic() + seconds
    while True:
        value = check()
        if value:
            return value
        assert time.monotonic() < deadline, f"{what} did not become true"
        time.sleep(0.05)
