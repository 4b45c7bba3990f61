//! A second reader of HTTP/1.1, which takes nothing but the plainest spelling: what we send must be
//! readable by it, and in one way.

/// A request as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plain {
    pub method: String,
    pub target: Vec<u8>,
    pub headers: Vec<(String, Vec<u8>)>,
    pub body: Vec<u8>,
}

/// What the beginning of some bytes is.
#[derive(Debug, PartialEq, Eq)]
pub enum Read {
    /// A whole request, and how many bytes it takes.
    Whole(Plain, usize),
    /// The beginning of one.
    More,
    /// Nothing we may send.
    Never(&'static str),
}

impl Plain {
    /// The values of a field.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        let named = self.headers.iter().filter(move |(known, _)| known == name);
        named.map(|(_, value)| value.as_slice())
    }
}

type Step<T> = Result<T, Read>;

/// Reads one request.
pub fn read(bytes: &[u8]) -> Read {
    match try_read(bytes) {
        Ok((plain, used)) => Read::Whole(plain, used),
        Err(short) => short,
    }
}

fn try_read(bytes: &[u8]) -> Step<(Plain, usize)> {
    let (first, mut at) = line(bytes, 0)?;
    let mut plain = request_line(first)?;
    loop {
        let (text, next) = line(bytes, at)?;
        at = next;
        if text.is_empty() {
            break;
        }
        plain.headers.push(field(text)?);
    }
    if plain.all("host").count() != 1 {
        return Err(Read::Never("not one Host"));
    }
    let lengths: Vec<_> = plain.all("content-length").collect();
    let codings: Vec<_> = plain.all("transfer-encoding").collect();
    let (body, end) = match (lengths.as_slice(), codings.as_slice()) {
        ([], []) => (Vec::new(), at),
        ([length], []) => counted(bytes, at, length)?,
        ([], [coding]) if *coding == b"chunked" => chunked(bytes, at)?,
        _ => return Err(Read::Never("not one length")),
    };
    plain.body = body;
    Ok((plain, end))
}

fn line(bytes: &[u8], from: usize) -> Step<(&[u8], usize)> {
    let rest = &bytes[from..];
    let end = rest
        .iter()
        .position(|byte| *byte == b'\n')
        .ok_or(Read::More)?;
    let text = rest[..end].strip_suffix(b"\r");
    let text = text.ok_or(Read::Never("a line feed alone"))?;
    if text.contains(&b'\r') || text.contains(&0) {
        return Err(Read::Never("a control byte"));
    }
    Ok((text, from + end + 1))
}

fn request_line(text: &[u8]) -> Step<Plain> {
    let words: Vec<&[u8]> = text.split(|byte| *byte == b' ').collect();
    let [method, target, b"HTTP/1.1"] = words.as_slice() else {
        return Err(Read::Never("not three words"));
    };
    let is_plain = |byte: &u8| *byte > b' ' && *byte != 0x7f && *byte != b'#';
    if !is_token(method) || !target.starts_with(b"/") || !target.iter().all(is_plain) {
        return Err(Read::Never("the method or target"));
    }
    Ok(Plain {
        method: String::from_utf8_lossy(method).into_owned(),
        target: target.to_vec(),
        headers: Vec::new(),
        body: Vec::new(),
    })
}

fn field(text: &[u8]) -> Step<(String, Vec<u8>)> {
    let colon = text.iter().position(|byte| *byte == b':');
    let (name, value) = text.split_at(colon.ok_or(Read::Never("no colon"))?);
    if !is_token(name) {
        return Err(Read::Never("a field name"));
    }
    let value = value[1..].trim_ascii();
    let is_fine = |byte: &u8| *byte == b'\t' || (*byte >= b' ' && *byte != 0x7f);
    if !value.iter().all(is_fine) {
        return Err(Read::Never("a field value"));
    }
    let name = String::from_utf8_lossy(name).to_ascii_lowercase();
    Ok((name, value.to_vec()))
}

fn is_token(text: &[u8]) -> bool {
    let fine = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    !text.is_empty() && text.iter().all(fine)
}

fn counted(bytes: &[u8], at: usize, length: &[u8]) -> Step<(Vec<u8>, usize)> {
    let is_plain = !length.is_empty() && length.iter().all(u8::is_ascii_digit);
    let length = std::str::from_utf8(length).ok().filter(|_| is_plain);
    let length: Option<usize> = length.and_then(|text| text.parse().ok());
    let length = length.ok_or(Read::Never("a length"))?;
    let end = at.checked_add(length).ok_or(Read::More)?;
    let body = bytes.get(at..end).ok_or(Read::More)?;
    Ok((body.to_vec(), end))
}

fn chunked(bytes: &[u8], mut at: usize) -> Step<(Vec<u8>, usize)> {
    let mut body = Vec::new();
    loop {
        let (size, begin) = line(bytes, at)?;
        let is_plain = !size.is_empty() && size.iter().all(u8::is_ascii_hexdigit);
        let size = std::str::from_utf8(size).ok().filter(|_| is_plain);
        let size = size.and_then(|text| usize::from_str_radix(text, 16).ok());
        let size = size.ok_or(Read::Never("a chunk size"))?;
        let end = begin.checked_add(size).ok_or(Read::More)?;
        body.extend_from_slice(bytes.get(begin..end).ok_or(Read::More)?);
        let (rest, next) = line(bytes, end)?;
        if !rest.is_empty() {
            return Err(Read::Never("a chunk's end, or a trailer"));
        }
        if size == 0 {
            return Ok((body, next));
        }
        at = next;
    }
}
