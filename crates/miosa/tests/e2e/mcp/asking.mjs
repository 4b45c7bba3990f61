// The official client, whose calls a person is asked about: prints what its user would read.
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";

const headers = { authorization: `Bearer ${process.env.REFERO_MCP_TOKEN}` };
const transport = new StreamableHTTPClientTransport(new URL("https://api.refero.design/mcp"), { requestInit: { headers } });
const client = new Client({ name: "e2e", version: "1" });
await client.connect(transport);
const said = async (message) => {
  try {
    return (await client.callTool({ name: "echo", arguments: { message } })).content[0].text;
  } catch (error) {
    return error.message;
  }
};
const free = await client.callTool({ name: "get-sum", arguments: { a: 1, b: 2 } });
const answers = { free: free.content[0].text, first: await said("first"), second: await said("second") };
await client.close();
console.log(JSON.stringify(answers));
