//! HTTP/1 connections, most of them in order, many of them nearly so.

/// Numbers from a seed.
pub struct Random(u64);

impl Random {
    pub const fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).expect("31 bits") % end
    }

    fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    /// The first of these mostly.
    fn pick<'a>(&mut self, odd: usize, all: &[&'a str]) -> &'a str {
        if self.one_in(odd) {
            all[self.below(all.len())]
        } else {
            all[0]
        }
    }
}

const METHODS: &[&str] = &[
    "POST", "GET", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "get", "PROPFIND", "PO ST", "X-Y",
    "G\tT", "TRACE", "CONNECT", "",
];
const TARGETS: &[&str] = &[
    "/a",
    "/",
    "/a?b=c",
    "/a//b",
    "/a/../b",
    "/%2e%2e/x",
    "/a;b",
    "/a%00b",
    "/a\\b",
    "/a?x#y",
    "/a#b",
    "*",
    "https://free.test/a",
    "https://free.test",
    "https://free.test?q",
    "http://free.test/a",
    "//free.test/a",
    "/\u{e9}",
    "/a b",
    "/a\tb",
    "",
    "a",
    "?x",
    "/a?",
    "/\"<>`{}|^",
    "free.test:443",
    "https://x@free.test/",
    "HTTPS://FREE.TEST/a",
    "/a HTTP/1.1",
    "/%",
    "/%zz",
    "/%u0041",
    "/a\u{7f}",
];
const VERSIONS: &[&str] = &[
    "HTTP/1.1",
    "HTTP/1.0",
    "HTTP/1.2",
    "HTTP/2.0",
    "http/1.1",
    "HTTP/1.1 ",
    " HTTP/1.1",
    "HTTP/01.1",
    "HTTP/1.10",
    "",
];
const ENDS: &[&str] = &[
    "\r\n", "\n", "\r", "\r\r\n", " \r\n", "\t\r\n", "\r\n ", "\0\r\n", "\r\n\t",
];
const HOSTS: &[&str] = &[
    "Host: free.test",
    "host:free.test",
    "Host: FREE.test.:443",
    "Host: free.test ",
    "Host:\tfree.test",
    "X: y",
    "Host: evil.test",
    "Host: free.test\r\nHost: free.test",
    "Host: free.test\r\nHost: evil.test",
    "Host : free.test",
    " Host: free.test",
    "Host: free.test, evil.test",
    "Host:",
    "Host: free.test:443:1",
    "Host: x@free.test",
    "Host: free.test\0",
    "Hos\u{212a}: free.test",
];
const LENGTHS: &[&str] = &[
    "Content-Length: {n}",
    "content-length:{n}",
    "Content-Length: 0{n}",
    "Content-Length: +{n}",
    "Content-Length: {n}, {n}",
    "Content-Length: {n}\r\nContent-Length: {n}",
    "Content-Length : {n}",
    "Content-Length: {n} ",
    "Content-Length: {n}\t",
    "Content-Length: 0x{n}",
    "Content-Length: {n}.0",
    "Content-Length: {n}\r\n ",
    "Content-Length: -{n}",
    "Content-Length:\u{b}{n}",
    "Content-Length: {n}_0",
    "Content_Length: {n}",
    "Content-Length: {n}\r\nTransfer-Encoding: chunked",
    "Content-Length: 1{n}",
    "Content-Length: 18446744073709551616",
    "X: y",
    "Content-Length: {n}\r\nConnection: content-length",
];
const CODINGS: &[&str] = &[
    "Transfer-Encoding: chunked",
    "transfer-encoding:chunked",
    "Transfer-Encoding: Chunked",
    "Transfer-Encoding: chunked ",
    "Transfer-Encoding:\tchunked",
    "Transfer-Encoding : chunked",
    "Transfer-Encoding: xchunked",
    "Transfer-Encoding: gzip, chunked",
    "Transfer-Encoding: chunked, identity",
    "Transfer-Encoding: identity",
    "Transfer-Encoding: \"chunked\"",
    "Transfer-Encoding:\u{b}chunked",
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
    "Transfer-Encoding:\r\n chunked",
    "Transfer-Encoding: chunked\r\nContent-Length: 3",
    "Transfer_Encoding: chunked",
    "Transfer-Encoding: chunk",
    "Transfer-Encoding: chunked;q=1",
    "Transfer-Encoding: ,chunked",
    "Transfer-Encoding: chunked,",
    "Transfer-Encoding: chunked\r\nConnection: transfer-encoding",
];
const FIELDS: &[&str] = &[
    "X-A: b",
    "Accept: */*",
    "Connection: close",
    "Connection: keep-alive, x-a",
    "Expect: 100-continue",
    "TE: trailers",
    "X: a\r\n b",
    "X:",
    ":x",
    "X",
    "X y: z",
    "X: \u{e9}",
    "X: a\0b",
    "X: a\rb",
    "X\u{b}: y",
    "Upgrade: websocket\r\nConnection: Upgrade",
    "Upgrade: h2c",
    "Trailer: x",
    "Keep-Alive: 5",
    "\u{e9}: y",
    "X-HTTP-Method-Override: DELETE",
    "Proxy-Connection: close",
    "X: y\nZ: q",
    "Cookie: a=b",
    "(x): y",
];
const SIZES: &[&str] = &[
    "{n}\r\n",
    "{n};a=b\r\n",
    "{n} \r\n",
    "0{n}\r\n",
    "{n}\n",
    "+{n}\r\n",
    "0x{n}\r\n",
    "{n};\r\n",
    "{n};a\n\r\n",
    " {n}\r\n",
    "{n}\r\r\n",
    "{n}\t;a\r\n",
    "{n}g\r\n",
    "-{n}\r\n",
    "{n}\r",
    "10000000000000000{n}\r\n",
    "\r\n",
    "{n};a=\"b\r\nc\"\r\n",
    "{n}\0\r\n",
];
const LAST: &[&str] = &[
    "0\r\n\r\n",
    "0\r\nx: y\r\n\r\n",
    "00\r\n\r\n",
    "0;a\r\n\r\n",
    "0\n\n",
    "0\r\n",
    "0\r\n\n",
    "0\r\nx\r\n\r\n",
    "",
    "0\r\nhost: evil.test\r\n\r\n",
    "0 \r\n\r\n",
    "-0\r\n\r\n",
];
const BODIES: &[&str] = &[
    "hello",
    "",
    "GET /x HTTP/1.1\r\nHost: free.test\r\n\r\n",
    "0\r\n\r\n",
    "a\r\n",
];

/// The bytes of one connection.
pub fn connection(random: &mut Random) -> Vec<u8> {
    let mut text = String::new();
    if random.one_in(20) {
        text += random.pick(1, &["\r\n", "\n", " ", "\0", "\r\n\r\n"]);
    }
    for _ in 0..=random.below(3) {
        request(random, &mut text);
    }
    // Latin-1, so that bytes above 0x7f are what they look like.
    let mut bytes: Vec<u8> = text.chars().map(|letter| letter as u32 as u8).collect();
    if random.one_in(5) {
        let (at, what) = (random.below(bytes.len()), random.below(4));
        match what {
            0 => drop(bytes.remove(at)),
            1 => bytes.insert(at, u8::try_from(random.below(256)).expect("a byte")),
            2 => bytes[at] = u8::try_from(random.below(256)).expect("a byte"),
            _ => bytes.truncate(at),
        }
    }
    bytes
}

fn request(random: &mut Random, text: &mut String) {
    let (method, target) = (random.pick(2, METHODS), random.pick(3, TARGETS));
    *text += &format!("{method} {target} {}", random.pick(12, VERSIONS));
    *text += random.pick(25, ENDS);
    let mut fields = vec![random.pick(6, HOSTS).to_owned()];
    let (field, body) = framed(random);
    fields.extend(field);
    for _ in 0..random.below(3) {
        fields.push(random.pick(2, FIELDS).to_owned());
    }
    if random.one_in(3) {
        fields.reverse();
    }
    for field in fields {
        *text += &field;
        *text += random.pick(40, ENDS);
    }
    *text += random.pick(40, ENDS);
    *text += &body;
}

fn framed(random: &mut Random) -> (Option<String>, String) {
    let body = random.pick(2, BODIES).to_owned();
    match random.below(5) {
        0 => (None, String::new()),
        1 | 2 => {
            let length = body.len().to_string();
            (Some(random.pick(3, LENGTHS).replace("{n}", &length)), body)
        }
        _ => {
            let size = format!("{:x}", body.len());
            let chunk = random.pick(3, SIZES).replace("{n}", &size);
            let end = random.pick(15, ENDS);
            let last = random.pick(4, LAST);
            let chunks = if body.is_empty() {
                last.to_owned()
            } else {
                format!("{chunk}{body}{end}{last}")
            };
            (Some(random.pick(3, CODINGS).to_owned()), chunks)
        }
    }
}
