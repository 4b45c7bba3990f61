// The official client over streamable HTTP, as agents embed it: prints what its user would read.
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";

const headers = { authorization: `Bearer ${process.env.REFERO_MCP_TOKEN}` };
const transport = new StreamableHTTPClientTransport(new URL("https://api.refero.design/mcp"), { requestInit: { headers } });
const client = new Client({ name: "e2e", version: "1" });
await client.connect(transport);
const { tools } = await client.listTools();
const answer = await client.callTool({ name: "echo", arguments: { message: "hello" } });
let refusal = "none";
try {
  await client.callTool({ name: "get-sum", arguments: { a: 1, b: 2 } });
} catch (error) {
  refusal = error.message;
}
await client.close();
console.log(JSON.stringify({ tools: tools.map((tool) => tool.name), said: answer.content[0].text, refusal }));
