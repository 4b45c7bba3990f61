//! nginx and Node as readers of HTTP: each says of every request what it read.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::fuzzing::strict::{self, Read};

/// Tells what it was asked, in a header of the answer: a HEAD has no body.
const NODE: &str = r#"
const http = require('http');
const hex = (text) => Buffer.from(text ?? '', 'latin1').toString('hex');
const server = http.createServer({ maxHeaderSize: 131072 }, (request, response) => {
  const body = [];
  request.on('data', (piece) => body.push(piece));
  request.on('end', () => {
    const seen = [request.method, request.url, request.headers.host].map(hex);
    response.setHeader('x-seen', [...seen, Buffer.concat(body).toString('hex'), ''].join('.'));
    response.end();
  });
});
server.httpAllowHalfOpen = true;
// Of half a request nothing more will come.
server.on('connection', (socket) => socket.on('end', () => setTimeout(() => socket.destroy(), 50)));
server.listen(process.argv[1], () => console.log('ready'));
"#;

/// One request as another program read it.
#[derive(Debug, PartialEq, Eq)]
pub struct Seen {
    pub method: String,
    pub target: Vec<u8>,
    pub host: Vec<u8>,
    pub body: Vec<u8>,
}

/// A program that listens.
pub struct Server {
    socket: PathBuf,
}

/// Those that are here. They end with this.
pub struct Servers {
    all: Vec<(&'static str, Server)>,
    node: Option<Child>,
    nginx: Option<PathBuf>,
    _folder: tempfile::TempDir,
}

impl Seen {
    /// The target without scheme and authority; and without a fragment, which our parser leaves out, so that
    /// it is neither judged nor sent.
    pub fn origin_form(&self) -> Vec<u8> {
        let whole = self.target.split(|byte| *byte == b'#').next();
        let text = whole.unwrap_or_default();
        let scheme = text.windows(3).position(|window| window == b"://");
        let Some(at) = scheme.filter(|_| !text.starts_with(b"/")) else {
            return text.to_vec();
        };
        let rest = &text[at + 3..];
        let end = rest.iter().position(|byte| b"/?".contains(byte));
        let rest = &rest[end.unwrap_or(rest.len())..];
        if rest.starts_with(b"/") {
            rest.to_vec()
        } else {
            [b"/", rest].concat()
        }
    }
}

impl Server {
    /// What it reads in these bytes, sent on a connection of their own.
    pub fn read(&self, bytes: &[u8]) -> Vec<Seen> {
        let mut stream = UnixStream::connect(&self.socket).expect("it listens");
        let limit = Some(Duration::from_secs(5));
        stream.set_read_timeout(limit).expect("a limit");
        // It may answer and hang up before it has read all.
        let _ = stream.write_all(bytes);
        let _ = stream.shutdown(Shutdown::Write);
        let mut answers = Vec::new();
        // What was answered before a reset, or before nothing more came, counts.
        let _ = stream.read_to_end(&mut answers);
        let text = String::from_utf8_lossy(&answers);
        let answers = text.split("HTTP/1.1 ").skip(1);
        let final_answers = answers.filter(|answer| !answer.starts_with("100"));
        // After a refusal nothing can be said of what follows.
        let all = final_answers.map_while(|answer| answer.split_once("x-seen: "));
        all.map(|(_, text)| seen(text)).collect()
    }
}

fn seen(text: &str) -> Seen {
    let mut parts = text
        .split('.')
        .map(|part| hex::decode(part).expect("hexadecimal"));
    let mut next = || parts.next().expect("four parts");
    Seen {
        method: String::from_utf8(next()).expect("a method"),
        target: next(),
        host: next(),
        body: next(),
    }
}

impl Servers {
    /// Starts those that are installed.
    pub fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut servers = Self {
            all: Vec::new(),
            node: None,
            nginx: None,
            _folder: folder,
        };
        let path = servers._folder.path().to_owned();
        match start_nginx(&path) {
            Some(socket) => {
                servers.nginx = Some(path.clone());
                servers.all.push(("nginx", Server { socket }));
            }
            None => eprintln!("nginx is not installed: not compared with"),
        }
        match start_node(&path) {
            Some((child, socket)) => {
                servers.node = Some(child);
                servers.all.push(("node", Server { socket }));
            }
            None => eprintln!("node is not installed: not compared with"),
        }
        servers
    }

    /// Each with its name.
    pub fn all(&self) -> &[(&'static str, Server)] {
        &self.all
    }

    /// Who is here.
    pub fn names(&self) -> Vec<&'static str> {
        self.all.iter().map(|(name, _)| *name).collect()
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        if let Some(node) = &mut self.node {
            let _ = node.kill();
            let _ = node.wait();
        }
        if let Some(folder) = &self.nginx {
            let _ = nginx(folder).args(["-s", "stop"]).status();
        }
    }
}

fn start_node(folder: &Path) -> Option<(Child, PathBuf)> {
    let socket = folder.join("node.sock");
    let mut node = Command::new("node");
    node.args(["-e", NODE]).arg(&socket).stdout(Stdio::piped());
    let mut child = node.spawn().ok()?;
    let mut line = String::new();
    let out = child.stdout.as_mut().expect("piped");
    BufReader::new(out).read_line(&mut line).expect("a line");
    assert_eq!(line, "ready\n");
    Some((child, socket))
}

fn nginx(folder: &Path) -> Command {
    let path = std::env::var("PATH").unwrap_or_default();
    let mut nginx = Command::new("nginx");
    nginx
        .env("PATH", format!("{path}:/usr/sbin"))
        .arg("-p")
        .arg(folder);
    nginx.args(["-c", "nginx.conf", "-e", "error.log"]);
    nginx
}

/// nginx in front of a recorder: what it passes on is what it read.
fn start_nginx(folder: &Path) -> Option<PathBuf> {
    let (socket, recorder) = (folder.join("nginx.sock"), folder.join("recorder.sock"));
    let config = format!(
        "worker_processes 1; pid nginx.pid; user root;
         events {{ worker_connections 1024; }}
         http {{
           access_log off; merge_slashes off; ignore_invalid_headers off; underscores_in_headers on;
           client_body_temp_path t1; proxy_temp_path t2; fastcgi_temp_path t3;
           uwsgi_temp_path t4; scgi_temp_path t5; client_max_body_size 0; lingering_close off;
           large_client_header_buffers 8 128k; proxy_buffer_size 256k; proxy_buffers 8 256k;
           proxy_busy_buffers_size 512k;
           server {{
             listen unix:{socket};
             location / {{
               proxy_pass http://unix:{recorder}:; proxy_http_version 1.1;
               proxy_ignore_client_abort on; proxy_pass_request_headers off;
               proxy_set_header Host $http_host; proxy_set_header Connection '';
             }}
           }}
         }}",
        socket = socket.display(),
        recorder = recorder.display(),
    );
    fs_err::write(folder.join("nginx.conf"), config).expect("a file");
    record(UnixListener::bind(&recorder).expect("a socket"));
    // It comes back when it listens.
    let status = nginx(folder).status().ok()?;
    assert!(status.success(), "nginx did not start");
    Some(socket)
}

/// Answers each request with what it is. Ends with the test's process.
fn record(listener: UnixListener) {
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || answer(stream));
        }
    });
}

fn answer(mut stream: UnixStream) -> Option<()> {
    let (mut bytes, mut piece) = (Vec::new(), [0; 65536]);
    loop {
        match strict::read(&bytes) {
            Read::Whole(plain, used) => {
                bytes.drain(..used);
                let host = plain.all("host").next().unwrap_or_default();
                let parts = [plain.method.as_bytes(), &plain.target, host, &plain.body];
                let seen = parts.map(hex::encode).join(".");
                let answer =
                    format!("HTTP/1.1 200 OK\r\ncontent-length: 0\r\nx-seen: {seen}.\r\n\r\n");
                stream.write_all(answer.as_bytes()).ok()?;
            }
            Read::More => match stream.read(&mut piece).ok()? {
                0 => return None,
                count => bytes.extend_from_slice(&piece[..count]),
            },
            // nginx passes a fragment on: the connection is closed, and counts as declined.
            Read::Never(_) => return None,
        }
    }
}
