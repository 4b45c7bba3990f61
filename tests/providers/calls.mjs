// One call through each provider's SDK for Node, as its users write it. The argument names the provider.
//
// The Node of the tests knows no proxy of its own: those that use `fetch` get one by undici, the others by an agent.
import { HttpsProxyAgent } from "hpagent";
import { EnvHttpProxyAgent, setGlobalDispatcher } from "undici";

const env = process.env;
const agent = () => new HttpsProxyAgent({ proxy: env.HTTPS_PROXY });
setGlobalDispatcher(new EnvHttpProxyAgent());

const calls = {
  async anthropic() {
    const { default: Anthropic } = await import("@anthropic-ai/sdk");
    const asked = { model: "m", max_tokens: 9, messages: [{ role: "user", content: "hi" }] };
    return (await new Anthropic().messages.create(asked)).content[0].text === "hello";
  },
  async openai() {
    const { default: OpenAI } = await import("openai");
    return (await new OpenAI().models.list()).data[0].id === "gpt";
  },
  async google() {
    const { GoogleGenAI } = await import("@google/genai");
    const client = new GoogleGenAI({ apiKey: env.GEMINI_API_KEY });
    return (await client.models.generateContent({ model: "gemini", contents: "hi" })).text === "hello";
  },
  async github() {
    const { Octokit } = await import("octokit");
    return (await new Octokit({ auth: env.GITHUB_TOKEN }).rest.users.getAuthenticated()).data.login === "octo";
  },
  async gitlab() {
    const { Gitlab } = await import("@gitbeaker/rest");
    return (await new Gitlab({ token: env.GITLAB_TOKEN }).Users.showCurrentUser()).username === "fox";
  },
  async slack() {
    const { WebClient } = await import("@slack/web-api");
    return (await new WebClient(env.SLACK_BOT_TOKEN, { agent: agent() }).auth.test()).user === "bot";
  },
  async notion() {
    const { Client } = await import("@notionhq/client");
    return (await new Client({ auth: env.NOTION_TOKEN }).search({ query: "x" })).results.length === 0;
  },
  async stripe() {
    const { default: Stripe } = await import("stripe");
    return (await new Stripe(env.STRIPE_API_KEY, { httpAgent: agent() }).balance.retrieve()).object === "balance";
  },
  async huggingface() {
    const { whoAmI } = await import("@huggingface/hub");
    return (await whoAmI({ accessToken: env.HF_TOKEN })).name === "hug";
  },
  async cloudflare() {
    const { default: Cloudflare } = await import("cloudflare");
    return (await new Cloudflare().user.tokens.verify()).status === "active";
  },
  async aws() {
    const { S3Client, PutObjectCommand, GetObjectCommand, HeadObjectCommand } = await import("@aws-sdk/client-s3");
    const { getSignedUrl } = await import("@aws-sdk/s3-request-presigner");
    const { NodeHttpHandler } = await import("@smithy/node-http-handler");
    const { Readable } = await import("node:stream");
    const requestHandler = new NodeHttpHandler({ httpsAgent: agent() });
    const s3 = new S3Client({ region: "eu-west-1", forcePathStyle: true, maxAttempts: 1, requestHandler });
    const put = (Key, Body, more = {}) => s3.send(new PutObjectCommand({ Bucket: "b", Key, Body, ...more }));
    const asked = (Key, Range) => new GetObjectCommand({ Bucket: "b", Key, Range });
    const get = async (...what) => (await s3.send(asked(...what))).Body.transformToString();
    await put("node", "hello");
    await put("node stream", Readable.from(["hello ", "again"]), { ContentLength: 11 });
    const head = await s3.send(new HeadObjectCommand({ Bucket: "b", Key: "node stream" }));
    const url = await getSignedUrl(s3, asked("node"), { expiresIn: 60 });
    const found = [await get("node"), await get("node stream"), await get("node stream", "bytes=0-4"), await (await fetch(url)).text()];
    return head.ContentLength === 11 && found.join() === "hello,hello again,hello,hello";
  },
};

if (!(await calls[process.argv[2]]())) throw new Error("another answer");
console.log("done");
process.exit(0);
