//! Makes an HTTP/2 connection of fuzzed bytes: frames with right lengths and heads in plain HPACK, so
//! that most of them are understood and reach us, and now and then bytes as they are.

use super::input::Input;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const HEADERS: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// Names of fields: `:method` and its like, what frames a message, what carries a credential.
const NAMES: &[&str] = &[
    ":method",
    ":path",
    ":scheme",
    ":authority",
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "te",
    "trailer",
    "upgrade",
    "cookie",
    "authorization",
    "expect",
    "x-a",
    "proxy-connection",
    "keep-alive",
    ":protocol",
    ":status",
    "Content-Length",
    "x a",
    "",
];
const VALUES: &[&str] = &[
    "GET",
    "POST",
    "/",
    "/mcp",
    "https",
    "http",
    "mcp.test",
    "free.test",
    "0",
    "5",
    "chunked",
    "trailers",
    "close",
    "websocket",
    "/a b",
    "/a\r\nx: y",
    "a\r\nb: c",
    "a\0b",
    "100-continue",
    "/v1/items?key=1",
    "CONNECT",
    "PO ST",
    "*",
    "free.test:443",
    "x@free.test",
    "",
    "OPTIONS",
    "Bearer miosa-tok-000102030405060708090a0b0c0d0e0f10111213f343faa7",
    "/../x",
    "//x",
    "https://mcp.test/",
    "GET / HTTP/1.1\r\nhost: x\r\n\r\n",
];

/// The bytes of a connection.
pub fn connection(data: &[u8]) -> Vec<u8> {
    let mut input = Input::new(data);
    let mut out = PREFACE.to_vec();
    frame(&mut out, 4, 0, 0, &[]);
    let mut stream = 1u32;
    while !input.is_empty() {
        let what = input.byte();
        match what % 8 {
            0 | 1 => {
                let block = request(&mut input, what & 0x10 != 0);
                frame(&mut out, HEADERS, END_HEADERS | (what >> 7), stream, &block);
                stream += 2;
            }
            2 => {
                // Trailers, or a second head.
                let block = fields(&mut input);
                frame(
                    &mut out,
                    HEADERS,
                    END_HEADERS | END_STREAM,
                    stream.saturating_sub(2),
                    &block,
                );
            }
            3 | 4 => {
                let text = input.text();
                let back = u32::from(what >> 6) * 2 + 2;
                frame(
                    &mut out,
                    0,
                    what >> 5 & END_STREAM,
                    stream.saturating_sub(back),
                    text,
                );
            }
            5 => {
                let (kind, flags, stream) = (input.byte() % 12, input.byte(), input.byte());
                frame(&mut out, kind, flags, stream.into(), input.text());
            }
            6 => {
                // A head in two frames.
                let block = request(&mut input, true);
                let middle = block.len() / 2;
                frame(&mut out, HEADERS, what >> 7, stream, &block[..middle]);
                frame(&mut out, 9, END_HEADERS, stream, &block[middle..]);
                stream += 2;
            }
            _ => out.extend_from_slice(input.text()),
        }
    }
    out
}

fn frame(out: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    let length = u32::try_from(payload.len()).expect("a payload is short");
    out.extend_from_slice(&length.to_be_bytes()[1..]);
    out.extend_from_slice(&[kind, flags]);
    out.extend_from_slice(&stream.to_be_bytes());
    out.extend_from_slice(payload);
}

/// A head that is in order but for the fields that follow, or one of fields alone.
fn request(input: &mut Input<'_>, is_ordinary: bool) -> Vec<u8> {
    let mut block = Vec::new();
    if is_ordinary {
        let methods = ["GET", "POST", "PUT", "OPTIONS"];
        let paths = ["/", "/mcp", "/git/a", "/v1/items?key=1"];
        field(&mut block, b":method", input.one_of(&methods).as_bytes());
        field(&mut block, b":path", input.one_of(&paths).as_bytes());
        field(&mut block, b":scheme", b"https");
        field(
            &mut block,
            b":authority",
            input.one_of(&["free.test", "mcp.test"]).as_bytes(),
        );
    }
    block.extend(fields(input));
    block
}

fn fields(input: &mut Input<'_>) -> Vec<u8> {
    let mut block = Vec::new();
    for _ in 0..input.byte() % 10 {
        let (name, value) = (input.byte(), input.byte());
        let name = match name {
            250.. => input.text(),
            _ => NAMES[usize::from(name) % NAMES.len()].as_bytes(),
        };
        let value = match value {
            128.. => input.text(),
            _ => VALUES[usize::from(value) % VALUES.len()].as_bytes(),
        };
        field(&mut block, name, value);
    }
    block
}

/// A literal without indexing.
fn field(block: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    block.push(0);
    for text in [name, value] {
        if text.len() < 127 {
            block.push(u8::try_from(text.len()).expect("below 127"));
        } else {
            // A length of at most 255 in the two bytes HPACK takes for it.
            let rest = text.len() - 127;
            block.push(127);
            if rest >= 128 {
                block.push(u8::try_from(rest % 128 + 128).expect("below 256"));
            }
            block.push(u8::try_from(rest / if rest >= 128 { 128 } else { 1 }).expect("below 256"));
        }
        block.extend_from_slice(text);
    }
}
