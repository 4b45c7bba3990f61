"""One call through each provider's SDK, as its users write it. The argument names the provider."""
import os, sys


def anthropic():
    import anthropic
    message = anthropic.Anthropic().messages.create(model="m", max_tokens=9, messages=[{"role": "user", "content": "hi"}])
    return message.content[0].text == "hello"


def openai():
    import openai
    return [model.id for model in openai.OpenAI().models.list()] == ["gpt"]


def google():
    from google import genai
    client = genai.Client()
    return client.models.generate_content(model="gemini", contents="hi").text == "hello"


def github():
    from github import Auth, Github
    return Github(auth=Auth.Token(os.environ["GITHUB_TOKEN"]), retry=None).get_user().login == "octo"


def gitlab():
    import gitlab
    client = gitlab.Gitlab("https://gitlab.com", private_token=os.environ["GITLAB_TOKEN"])
    client.auth()
    return client.user.username == "fox"


def slack():
    from slack_sdk import WebClient
    return WebClient(token=os.environ["SLACK_BOT_TOKEN"]).auth_test()["user"] == "bot"


def notion():
    from notion_client import Client
    return Client(auth=os.environ["NOTION_TOKEN"]).search(query="x")["results"] == []


def stripe():
    import stripe
    # It brings its own authorities.
    stripe.ca_bundle_path, stripe.api_key = os.environ["SSL_CERT_FILE"], os.environ["STRIPE_API_KEY"]
    return stripe.Balance.retrieve()["object"] == "balance"


def huggingface():
    from huggingface_hub import HfApi
    return HfApi().whoami()["name"] == "hug"


def cloudflare():
    from cloudflare import Cloudflare
    return Cloudflare().user.tokens.verify().status == "active"


assert globals()[sys.argv[1]](), "another answer"
print("done")
