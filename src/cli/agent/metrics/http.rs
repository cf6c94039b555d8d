//! As much of HTTP as metrics need: one GET a connection, which is answered and closed. The length
//! of a request, the time for a request and its response, and the number of connections are
//! bounded. Servers that are crates either bring an asynchronous runtime, or read heads of any
//! length for any time.

use super::listener::{Connection, Listener};
use prometheus_client::encoding::prometheus_text::CONTENT_TYPE;
use std::io;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// The longest head of a request.
const HEAD: usize = 8 * 1024;
const HEADERS: usize = 64;
/// How long a request and its response may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// How many connections are served at once. A further one is closed at once.
const AT_ONCE: usize = 8;
/// How long the accept loop waits after an error: descriptors may be short.
const PAUSE: Duration = Duration::from_millis(100);

/// A response.
#[derive(Debug, Clone)]
pub(super) struct Response {
    status: &'static str,
    kind: &'static str,
    text: Arc<str>,
}

impl Response {
    pub(super) fn metrics(text: &str) -> Self {
        Response { status: "200 OK", kind: CONTENT_TYPE, text: text.into() }
    }

    pub(super) fn unavailable(text: &str) -> Self {
        Response::plain("503 Service Unavailable", text)
    }

    fn plain(status: &'static str, text: &str) -> Self {
        Response { status, kind: "text/plain; charset=utf-8", text: text.into() }
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        let Response { status, kind, text } = self;
        let length = text.len();
        format!(
            "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{text}"
        )
        .into_bytes()
    }
}

/// Makes the response to a request for metrics.
pub(super) type Responder = Arc<dyn Fn() -> Response + Send + Sync>;

/// Serves a listener, by threads of its own, from now on.
pub(super) fn serve(listener: Listener, responder: Responder) -> io::Result<()> {
    let accept_loop = move || {
        // One reference for each connection that is served.
        let connections = Arc::new(());
        loop {
            match listener.accept() {
                Ok(_) if Arc::strong_count(&connections) > AT_ONCE => {}
                Ok(connection) => {
                    let (counted, responder) = (connections.clone(), responder.clone());
                    let serve = move || {
                        if let Err(e) = serve_one(connection, &*responder) {
                            tracing::debug!("a request for metrics was not answered: {e}");
                        }
                        drop(counted);
                    };
                    if let Err(e) = thread::Builder::new().name("metrics".into()).spawn(serve) {
                        tracing::warn!("cannot serve a request for metrics: {e}");
                    }
                }
                Err(e) => {
                    tracing::debug!("cannot accept a connection for metrics: {e}");
                    thread::sleep(PAUSE);
                }
            }
        }
    };
    thread::Builder::new().name("metrics".into()).spawn(accept_loop).map(drop)
}

fn serve_one(
    mut connection: Box<dyn Connection>,
    responder: &dyn Fn() -> Response,
) -> io::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    let response = match read_request(&mut *connection, deadline)? {
        Request::Metrics => responder(),
        Request::OtherPath => Response::plain("404 Not Found", "metrics are at /metrics\n"),
        Request::OtherMethod => Response::plain("405 Method Not Allowed", "only GET is served\n"),
        Request::TooLong => {
            Response::plain("431 Request Header Fields Too Large", "the request is too long\n")
        }
        Request::Malformed => Response::plain("400 Bad Request", "this is no HTTP\n"),
    };
    let bytes = response.bytes();
    let mut rest = &*bytes;
    while !rest.is_empty() {
        connection.limit(left(deadline)?)?;
        let written = connection.write(rest)?;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        rest = rest.get(written..).unwrap_or_default();
    }
    connection.hang_up()
}

/// What a request asks for.
#[derive(Debug, PartialEq, Eq)]
enum Request {
    /// `GET /metrics`.
    Metrics,
    /// Another path.
    OtherPath,
    /// Another method.
    OtherMethod,
    /// A head that is longer than is read.
    TooLong,
    /// No HTTP.
    Malformed,
}

fn read_request(connection: &mut dyn Connection, deadline: Instant) -> io::Result<Request> {
    let mut head = Vec::new();
    let mut chunk = [0; 1024];
    loop {
        if let Some(request) = parse(&head) {
            return Ok(request);
        }
        if head.len() >= HEAD {
            return Ok(Request::TooLong);
        }
        connection.limit(left(deadline)?)?;
        let length = connection.read(&mut chunk)?;
        if length == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        head.extend(chunk.iter().take(length));
    }
}

/// The request that a head is; none if the head has no end yet.
fn parse(head: &[u8]) -> Option<Request> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    let mut parsed = httparse::Request::new(&mut headers);
    match parsed.parse(head) {
        Ok(httparse::Status::Partial) => return None,
        Ok(httparse::Status::Complete(_)) => {}
        Err(httparse::Error::TooManyHeaders) => return Some(Request::TooLong),
        Err(_) => return Some(Request::Malformed),
    }
    let path = parsed.path.and_then(|path| path.split('?').next());
    Some(match (parsed.method, path) {
        (Some("GET"), Some("/metrics")) => Request::Metrics,
        (Some("GET"), _) => Request::OtherPath,
        _ => Request::OtherMethod,
    })
}

fn left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(io::ErrorKind::TimedOut.into());
    }
    Ok(left)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use std::io::{Read as _, Write as _};
    use std::os::unix::net::{UnixListener, UnixStream};
    use tempfile::TempDir;

    #[test]
    fn a_head_is_understood_when_it_is_whole() {
        let whole = "GET /metrics?x=1 HTTP/1.1\r\nHost: a\r\nAccept: */*\r\n\r\n";
        for length in 0..whole.len() {
            assert_eq!(parse(&whole.as_bytes()[..length]), None, "{length}");
        }
        for (head, wanted) in [
            (whole, Request::Metrics),
            ("GET / HTTP/1.1\r\n\r\n", Request::OtherPath),
            ("GET /metrics/ HTTP/1.0\r\n\r\n", Request::OtherPath),
            ("POST /metrics HTTP/1.1\r\n\r\n", Request::OtherMethod),
            ("\x16\x03\x01\x02\x00\x01", Request::Malformed),
            ("GET /metrics\r\n\r\n", Request::Malformed),
        ] {
            assert_eq!(parse(head.as_bytes()), Some(wanted), "{head:?}");
        }
        let many = format!("GET /metrics HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(HEADERS + 1));
        assert_eq!(parse(many.as_bytes()), Some(Request::TooLong));
    }

    /// A served socket, and a way to connect to it.
    fn open(dir: &TempDir) -> impl Fn() -> UnixStream {
        let path = dir.path().join("socket");
        let listener = Listener::Unix(UnixListener::bind(&path).unwrap());
        serve(listener, Arc::new(|| Response::metrics("a 1\n"))).unwrap();
        move || {
            let stream = UnixStream::connect(&path).unwrap();
            stream.set_read_timeout(Some(4 * PATIENCE)).unwrap();
            stream
        }
    }

    fn ask(mut stream: UnixStream, head: &[u8]) -> String {
        let mut answer = String::new();
        // A request that is answered before its end cannot be written whole.
        let _ = stream.write_all(head);
        let _ = stream.read_to_string(&mut answer);
        answer
    }

    const GET: &[u8] = b"GET /metrics HTTP/1.1\r\n\r\n";

    #[test]
    fn a_request_is_answered_and_the_connection_closed() {
        let dir = TempDir::new().unwrap();
        let connect = open(&dir);
        let answer = ask(connect(), GET);
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(
            answer.ends_with("\r\nContent-Length: 4\r\nConnection: close\r\n\r\na 1\n"),
            "{answer}"
        );
        let long = [b"GET /metrics HTTP/1.1\r\nA: ".as_slice(), &[b'b'; HEAD]].concat();
        assert!(ask(connect(), &long).starts_with("HTTP/1.1 431 "));
    }

    #[test]
    fn who_says_nothing_keeps_nobody_else_and_is_sent_away() {
        let dir = TempDir::new().unwrap();
        let connect = open(&dir);
        let silent: Vec<UnixStream> = (0..AT_ONCE - 1).map(|_| connect()).collect();
        assert!(ask(connect(), GET).starts_with("HTTP/1.1 200 "));
        // All connections are in use: a further one is closed, and nobody waits.
        let last = connect();
        let begun = Instant::now();
        let mut turned_away = false;
        while !turned_away && begun.elapsed() < PATIENCE / 2 {
            turned_away = ask(connect(), GET).is_empty();
        }
        assert!(turned_away);
        for mut stream in silent.into_iter().chain([last]) {
            let _ = stream.read(&mut [0]);
        }
        assert!(begun.elapsed() < 2 * PATIENCE);
        assert!(ask(connect(), GET).starts_with("HTTP/1.1 200 "));
    }
}
