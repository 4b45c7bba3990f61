"""B10: signing and OAuth."""
from lib import *


def row_154():
    date = "20260101/us-east-1/s3/aws4_request"
    header = f"AWS4-HMAC-SHA256 Credential={TOKEN}/{date}, SignedHeaders=host, Signature=00"
    for host in (N["bound"], N["wide"]):
        refused(f"a signature over the placeholder in a header, to {host}",
                ask(host=host, token="", headers=[("Authorization", header)]), "EGRESS_PLACEHOLDER_MISPLACED",
                "EGRESS_PLACEHOLDER_NOT_BOUND")
        refused(f"the same in the query, to {host}", ask(path=f"/mcp?X-Amz-Credential={TOKEN}%2F{date}", host=host, token=""),
                "EGRESS_PLACEHOLDER_MISPLACED", "EGRESS_PLACEHOLDER_NOT_BOUND", "EGRESS_PATH_NOT_BOUND")


def row_159():
    body = f"grant_type=refresh_token&refresh_token={TOKEN}&client_id=x".encode()
    answer = raw(N["allowed"], request("POST", "/oauth/token", N["allowed"], [("x-do", "bytes")], body, token=""))
    note("the placeholder as a refresh token to a token endpoint", "goes as it is, or is refused",
         answer.status == 200 and answer.body == body or (answer.code or "").startswith("EGRESS_"), answer, answer.raw, answer.code)
    refused("the same to the bound host's token endpoint", ask("POST", "/oauth/token", body=body), "EGRESS_PATH_NOT_BOUND")


if __name__ == "__main__":
    run(globals())
