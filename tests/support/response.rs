//! One HTTP/1 answer, taken apart.

/// A head and its body.
#[derive(Debug, Clone, Default)]
pub(crate) struct Response {
    pub(crate) status: u16,
    /// `HTTP/1.1` or `HTTP/1.0`; empty for h2.
    pub(crate) version: String,
    /// In the order they came, names as they came.
    pub(crate) headers: Vec<(String, String)>,
    /// Chunks put together, if it came in chunks.
    pub(crate) body: Vec<u8>,
}

impl Response {
    /// Parses a head; the body is still to come.
    pub(crate) fn head(bytes: &[u8]) -> Response {
        let text = String::from_utf8_lossy(bytes).into_owned();
        let mut lines = text.split("\r\n");
        let first = lines.next().unwrap_or_default();
        let mut words = first.splitn(3, ' ');
        let version = words.next().unwrap_or_default().to_owned();
        let status = words.next().and_then(|word| word.parse().ok());
        let status = status.unwrap_or_else(|| panic!("no status line: {first:?}"));
        let field = |line: &str| {
            let (name, value) = line.split_once(':').unwrap_or_else(|| panic!("{line:?}"));
            (name.to_owned(), value.trim().to_owned())
        };
        let headers = lines.take_while(|line| !line.is_empty()).map(field).collect();
        Response { status, version, headers, body: Vec::new() }
    }

    /// Parses an answer that ended with its connection.
    pub(crate) fn whole(bytes: &[u8]) -> Response {
        let end = find(bytes, b"\r\n\r\n").expect("a whole head") + 4;
        let (head, body) = bytes.split_at(end);
        Response { body: body.to_vec(), ..Response::head(head) }
    }

    /// The one value of a field; none if it is not there.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.all(name);
        let value = values.next();
        assert!(values.next().is_none(), "{name} more than once: {self:?}");
        value
    }

    /// Every value of a field.
    pub(crate) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        let named = move |(other, _): &&(String, String)| other.eq_ignore_ascii_case(name);
        self.headers.iter().filter(named).map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Where `part` begins.
pub(crate) fn find(bytes: &[u8], part: &[u8]) -> Option<usize> {
    bytes.windows(part.len()).position(|window| window == part)
}
