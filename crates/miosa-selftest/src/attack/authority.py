"""B1: who is a request really for?"""
from lib import *


def row_001():
    answer = raw(N["bound"], request(), address=N["attacker_address"])
    refused("TLS to the attacker's address, server name and Host of the bound host", answer,
            "EGRESS_SERVER_NAME_MISMATCH", "EGRESS_ADDRESS_LITERAL", "EGRESS_HOST_NOT_ALLOWED")
    with open("/etc/hosts", "a") as hosts:
        hosts.write(f"\n{N['attacker_address']} {N['bound']}\n")
    try:
        answer = ask()
    finally:
        lines = [line for line in open("/etc/hosts") if N["attacker_address"] not in line]
        open("/etc/hosts", "w").writelines(lines)
    refused("the same through /etc/hosts", answer,
            "EGRESS_SERVER_NAME_MISMATCH", "EGRESS_ADDRESS_LITERAL", "EGRESS_HOST_NOT_ALLOWED")
    passed("the bound host itself", ask())


def row_002():
    answer = plain(N["attacker_address"], request())
    refused("plain HTTP to the attacker's address, Host of the bound host", answer,
            "EGRESS_AUTHORITY_MISMATCH", "EGRESS_ADDRESS_LITERAL", "EGRESS_HOST_NOT_ALLOWED", "EGRESS_CLEARTEXT_CREDENTIAL")
    refused("plain HTTP to the bound host", plain(N["bound"], request()), "EGRESS_CLEARTEXT_CREDENTIAL")
    refused("plain HTTP to an allowed host of the attacker", plain(N["attacker"], request(host=N["attacker"])),
            "EGRESS_CLEARTEXT_CREDENTIAL", "EGRESS_PLACEHOLDER_NOT_BOUND")


def row_003():
    refused("server name of an allowed host, Host of the bound one", ask(host=N["wide"], hosthdr=N["bound"], path="/mcp"),
            "EGRESS_AUTHORITY_MISMATCH")


def row_004():
    refused("address and Host of the bound host, server name of the attacker's", ask(sni=N["attacker"]),
            "EGRESS_SERVER_NAME_MISMATCH")
    answer = ask(host=N["attacker"], hosthdr=N["bound"])
    # The attacker's host is tunnelled or intercepted: either way nothing but a placeholder may leave.
    note("the attacker's host with the bound Host header", "refused, or nothing but the placeholder leaves",
         answer.code in ("EGRESS_AUTHORITY_MISMATCH", "EGRESS_PLACEHOLDER_NOT_BOUND") or answer.status == 200,
         answer, answer.raw, answer.code)


if __name__ == "__main__":
    run(globals())
