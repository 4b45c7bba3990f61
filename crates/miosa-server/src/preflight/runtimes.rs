//! The programs of an image that speak TLS, how each is made to shake hands, and what its words mean.
//!
//! Each brings its own roots and reads its own variable; a sandbox's certificates are its own CA's, so a
//! program that was told of no CA fails at the first request of an agent. It is better to know before.

use super::script::TIMED_OUT;

/// One program.
#[derive(Debug)]
pub(super) struct Runtime {
    /// Its name in the sandbox.
    pub program: &'static str,
    /// Shell words that make it speak TLS with `$H`, port `$P`, or fetch below `$U`; `$d` is a scratch folder.
    pub command: &'static str,
    /// How it is told of a CA.
    pub fix: &'static str,
}

/// What became of a handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Handshake {
    /// It trusts the sandbox's certificates.
    Trusted,
    /// It does not.
    Untrusted,
    /// It said nothing about certificates: no answer in time, or not able to do this.
    Unknown,
}

/// What Node and Bun run, as the shell variable `NODE_TLS`.
pub(super) const NODE_TLS: &str = r#"NODE_TLS='const { H, P } = process.env
require("tls").connect({ host: H, port: +P, servername: H }, () => process.exit(0))
  .on("error", (e) => { console.error(e.code, e.message); process.exit(1) })'
"#;

/// All that are known, in the order they are named.
pub(super) const ALL: &[Runtime] = &[
    Runtime {
        program: "curl",
        command: r#"curl -sS -o "$d/curl.out" --noproxy '*' "$U""#,
        fix: "CURL_CA_BUNDLE",
    },
    Runtime {
        program: "wget",
        command: r#"wget -q -O "$d/wget.out" -T 4 -t 1 "$U""#,
        fix: "SSL_CERT_FILE, or `ca_certificate` in ~/.wgetrc",
    },
    Runtime {
        program: "openssl",
        command: r#"openssl s_client -connect "$H:$P" -servername "$H" -verify_return_error -brief"#,
        fix: "SSL_CERT_FILE",
    },
    Runtime {
        program: "node",
        command: r#"node -e "$NODE_TLS""#,
        fix: "NODE_EXTRA_CA_CERTS",
    },
    Runtime {
        program: "bun",
        command: r#"bun -e "$NODE_TLS""#,
        fix: "NODE_EXTRA_CA_CERTS",
    },
    Runtime {
        program: "deno",
        command: r#"deno eval 'const c = await Deno.connectTls({ hostname: Deno.env.get("H"), port: +Deno.env.get("P") }); await c.handshake(); Deno.exit(0)'"#,
        fix: "DENO_CERT",
    },
    Runtime {
        program: "python3",
        command: r#"python3 -c 'import os, socket, ssl
h = os.environ["H"]
s = socket.create_connection((h, int(os.environ["P"])), 4)
ssl.create_default_context().wrap_socket(s, server_hostname=h)'"#,
        fix: "SSL_CERT_FILE",
    },
    Runtime {
        program: "ruby",
        command: r#"ruby -rsocket -ropenssl -e 'c = OpenSSL::SSL::SSLContext.new; c.set_params
s = OpenSSL::SSL::SSLSocket.new(TCPSocket.new(ENV["H"], ENV["P"].to_i), c); s.hostname = ENV["H"]; s.connect'"#,
        fix: "SSL_CERT_FILE",
    },
    Runtime {
        program: "php",
        command: r#"php -r 'exit(stream_socket_client("ssl://".getenv("H").":".getenv("P"), $n, $s, 4) ? 0 : 1);'"#,
        fix: "`openssl.cafile` in php.ini",
    },
    Runtime {
        program: "git",
        command: r#"env GIT_TERMINAL_PROMPT=0 git ls-remote "$U""#,
        fix: "GIT_SSL_CAINFO",
    },
    Runtime {
        program: "npm",
        command: r#"npm ping --fetch-retries 0 --fetch-timeout 4000 --registry "$U/""#,
        fix: "npm_config_cafile",
    },
    Runtime {
        program: "pip",
        command: r#"pip download -q --no-deps --no-cache-dir --no-input --disable-pip-version-check --retries 0 --timeout 4 -d "$d" --index-url "$U/" miosa-preflight"#,
        fix: "PIP_CERT",
    },
    Runtime {
        program: "cargo",
        command: r#"env CARGO_NET_RETRY=0 cargo search --index "sparse+$U/" miosa-preflight"#,
        fix: "CARGO_HTTP_CAINFO",
    },
    Runtime {
        program: "go",
        command: r#"env GOFLAGS=-mod=mod GONOSUMDB='*' GOPROXY="$U" go list -m miosa.invalid/preflight@v1.0.0"#,
        fix: "SSL_CERT_FILE",
    },
    Runtime {
        program: "java",
        command: r#"sh -c 'printf "public class T { public static void main(String[] a) throws Exception { new java.net.URL(a[0]).openStream(); } }" >"$d/T.java"; exec java "$d/T.java" "$U"'"#,
        fix: "`-Djavax.net.ssl.trustStore=…` in JAVA_TOOL_OPTIONS",
    },
];

/// Words of a program that does not trust a certificate, in lower case.
const UNTRUSTED: &[&str] = &[
    "certificate",
    "x509",
    "self-signed",
    "self signed",
    "pkix",
    "issuer",
    "cert_",
];

/// Words of a program that had an HTTP answer, in lower case.
const ANSWERED: &[&str] = &[
    "403",
    "404",
    "421",
    "429",
    "502",
    "forbidden",
    "not found",
    "filenotfound",
    "no matching distribution",
];

/// Reads a program's exit status and last words.
pub(super) fn handshake(exit: i32, said: &str) -> Handshake {
    let said = said.to_ascii_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| said.contains(word));
    match exit {
        0 => Handshake::Trusted,
        TIMED_OUT => Handshake::Unknown,
        _ if says(UNTRUSTED) => Handshake::Untrusted,
        _ if says(ANSWERED) => Handshake::Trusted,
        _ => Handshake::Unknown,
    }
}
