-- By what an attachment narrows the connector's MCP server: JSON, none for not at all.
alter table bindings add column mcp text;
