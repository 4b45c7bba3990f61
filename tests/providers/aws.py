"""S3 through boto3, with a placeholder for keys. What a server that verifies signatures took is in its log."""
import io, os, urllib.error, urllib.request

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

assert os.environ["AWS_ACCESS_KEY_ID"] == os.environ["AWS_SECRET_ACCESS_KEY"] and "miosa-tok-" in os.environ["AWS_ACCESS_KEY_ID"]
config = Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1})
s3 = boto3.client("s3", region_name="eu-west-1", config=config)
for key, text in (("plain", b"hello"), ("notes/one & two+three (ü) ~.txt", b"hello again"), ("empty", b"")):
    s3.put_object(Bucket="b", Key=key, Body=text, Metadata={"by": "a  sandbox"})
    assert s3.get_object(Bucket="b", Key=key)["Body"].read() == text, key
large = os.urandom(1 << 20) * 9
s3.put_object(Bucket="b", Key="large", Body=io.BytesIO(large))
back = io.BytesIO()
s3.download_fileobj("b", "large", back)
assert back.getvalue() == large, "in ranges"
assert s3.head_object(Bucket="b", Key="large")["ContentLength"] == len(large)
keys = [one["Key"] for one in s3.list_objects_v2(Bucket="b", Prefix="", Delimiter="/")["Contents"]]
assert {"plain", "empty", "large", "notes/one & two+three (ü) ~.txt"} <= set(keys), keys


def presigned(version):
    client = boto3.client("s3", region_name="eu-west-1", config=config.merge(Config(signature_version=version)))
    url = client.generate_presigned_url("get_object", Params={"Bucket": "b", "Key": "plain"}, ExpiresIn=60)
    try:
        return urllib.request.urlopen(url).read()
    except urllib.error.HTTPError as error:
        return error.read()


assert presigned("s3v4") == b"hello"
assert b"EGRESS_SIGNATURE_NOT_SUPPORTED" in presigned("s3"), "what boto3 does unless told otherwise: version 2"

# A session token of the sandbox's own is not needed, and may be the placeholder.
os.environ["AWS_SESSION_TOKEN"] = os.environ["AWS_ACCESS_KEY_ID"]
again = boto3.client("s3", region_name="eu-west-1", config=config)
assert again.get_object(Bucket="b", Key="plain")["Body"].read() == b"hello"

for client in (boto3.client("sts", region_name="eu-west-1", config=config),
               boto3.client("s3", region_name="eu-south-2", endpoint_url="https://s3.eu-west-1.amazonaws.com", config=config)):
    try:
        client.get_caller_identity() if hasattr(client, "get_caller_identity") else client.get_object(Bucket="b", Key="plain")
    except (BotoCoreError, ClientError, ResponseParserError) as error:
        print("refused:", type(error).__name__)
    else:
        raise SystemExit("another service or region was signed for")
print("done")
