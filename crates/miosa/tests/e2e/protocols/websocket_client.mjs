// Text and binary with real `ws`.
import WebSocket from "ws";

const headers = { authorization: `Bearer ${process.env.GITHUB_TOKEN}` };
const socket = new WebSocket("wss://api.github.com/socket", { headers });
const messages = [Buffer.from("text"), Buffer.from(process.env.GITHUB_TOKEN), Buffer.alloc(70000, 255)];
let at = 0;
const next = () => (at < messages.length ? socket.send(messages[at]) : socket.close(1000));
socket.on("open", next);
socket.on("message", (data) => {
  if (!messages[at].equals(data)) throw new Error(`message ${at} came back otherwise`);
  at += 1;
  next();
});
socket.on("close", (code) => console.log(at === messages.length && code === 1000 ? "fine" : `closed ${code}`));
