"""An echo over gRPC in all four kinds of call, and over WebSocket; prints both ports as JSON."""
import asyncio, concurrent.futures, http, json, os

import grpc
import websockets

WANTED = "Bearer " + os.environ["TOKEN"]


def checked(call):
    def answer(request, context):
        metadata = dict(context.invocation_metadata())
        if metadata.get("authorization") != WANTED:
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "not the token")
        if not 0 < (context.time_remaining() or 0) < 60:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "no deadline")
        context.set_trailing_metadata((("x-end", "here"),))
        return call(request, context)
    return answer


def streamed(call):
    one = checked(lambda request, context: None)

    def answer(request, context):
        one(request, context)
        yield from call(request, context)
    return answer


def fail(request, context):
    context.abort(grpc.StatusCode.NOT_FOUND, "nothing \u2713 here")


HANDLERS = {
    "Unary": grpc.unary_unary_rpc_method_handler(checked(lambda request, _: request)),
    "Down": grpc.unary_stream_rpc_method_handler(streamed(lambda request, _: (request + b"%d" % count for count in range(5)))),
    "Up": grpc.stream_unary_rpc_method_handler(checked(lambda requests, _: b"".join(requests))),
    "Both": grpc.stream_stream_rpc_method_handler(streamed(lambda requests, _: (request for request in requests))),
    "Fail": grpc.unary_unary_rpc_method_handler(checked(fail)),
}


async def echo(socket):
    async for message in socket:
        await socket.send(message)


def admit(connection, request):
    if request.headers.get("authorization") != WANTED:
        return connection.respond(http.HTTPStatus.UNAUTHORIZED, "not the token")


async def main():
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(8))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("echo.Echo", HANDLERS),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    async with websockets.serve(echo, "127.0.0.1", 0, process_request=admit) as sockets:
        print(json.dumps([port, sockets.sockets[0].getsockname()[1]]), flush=True)
        await asyncio.get_running_loop().create_future()


asyncio.run(main())
