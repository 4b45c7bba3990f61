"""B10: signing and OAuth."""
from lib import *
from aws import *


def row_159():
    body = f"grant_type=refresh_token&refresh_token={TOKEN}&client_id=x".encode()
    answer = raw(N["allowed"], request("POST", "/oauth/token", N["allowed"], [("x-do", "bytes")], body, token=""))
    note("the placeholder as a refresh token to a token endpoint", "goes as it is, or is refused",
         answer.status == 200 and answer.body == body or (answer.code or "").startswith("EGRESS_"), answer, answer.raw, answer.code)
    refused("the same to the bound host's token endpoint", ask("POST", "/oauth/token", body=body), "EGRESS_PATH_NOT_BOUND")


if __name__ == "__main__":
    run(globals())
