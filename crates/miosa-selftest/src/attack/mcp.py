"""B11: MCP."""
from lib import *


def row_173():
    answer = ask(do="unauthorized")
    note("a provider that answers 401 with a place to log in", "the answer comes as it is", answer.status == 401 and answer.code is None
         and b"resource_metadata" in answer.header("www-authenticate"), answer, answer.raw, uses=1)
    answer = ask(path="/.well-known/oauth-protected-resource", token="")
    passed("the discovery document without a credential", answer, uses=0)
    refused("the discovery document with the placeholder", ask(path="/.well-known/oauth-protected-resource"), "EGRESS_PATH_NOT_BOUND")


if __name__ == "__main__":
    run(globals())
