//! The little of HTTP that it takes to be asked for metrics: one GET a connection, answered and
//! closed. The length of a question, the time that it and its answer take, and how many are
//! answered at once are bounded. (Servers that are to be had as crates either bring an asynchronous
//! runtime, or read heads of any length for any time.)

use super::listener::{Connection, Listener};
use prometheus_client::encoding::prometheus_text::CONTENT_TYPE;
use std::io;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// The longest head of a question.
const HEAD: usize = 8 * 1024;
const HEADERS: usize = 64;
/// How long a question and its answer may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// How many are answered at once. Who comes besides is turned away.
const AT_ONCE: usize = 8;
/// How long nobody is let in when nobody can be: descriptors may be short.
const PAUSE: Duration = Duration::from_millis(100);

/// What is asked for, as it is answered.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    status: &'static str,
    kind: &'static str,
    text: Arc<str>,
}

impl Answer {
    pub(super) fn metrics(text: &str) -> Self {
        Answer { status: "200 OK", kind: CONTENT_TYPE, text: text.into() }
    }

    pub(super) fn unavailable(text: &str) -> Self {
        Answer::plain("503 Service Unavailable", text)
    }

    fn plain(status: &'static str, text: &str) -> Self {
        Answer { status, kind: "text/plain; charset=utf-8", text: text.into() }
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        let Answer { status, kind, text } = self;
        let length = text.len();
        format!(
            "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{text}"
        )
        .into_bytes()
    }
}

/// Who has the answer.
pub(super) type Answerer = Arc<dyn Fn() -> Answer + Send + Sync>;

/// Answers whoever comes, from now on.
pub(super) fn serve(listener: Listener, answerer: Answerer) -> io::Result<()> {
    let doorkeeper = move || {
        // Each that is answered holds one.
        let seats = Arc::new(());
        loop {
            match listener.accept() {
                Ok(_) if Arc::strong_count(&seats) > AT_ONCE => {}
                Ok(connection) => {
                    let (seat, answerer) = (seats.clone(), answerer.clone());
                    let attend = move || {
                        if let Err(e) = attend(connection, &*answerer) {
                            tracing::debug!("who asked for metrics was not answered: {e}");
                        }
                        drop(seat);
                    };
                    if let Err(e) = thread::Builder::new().name("metrics".into()).spawn(attend) {
                        tracing::warn!("cannot answer who asks for metrics: {e}");
                    }
                }
                Err(e) => {
                    tracing::debug!("cannot let in who asks for metrics: {e}");
                    thread::sleep(PAUSE);
                }
            }
        }
    };
    thread::Builder::new().name("metrics".into()).spawn(doorkeeper).map(drop)
}

fn attend(mut connection: Box<dyn Connection>, answerer: &dyn Fn() -> Answer) -> io::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    let answer = match question(&mut *connection, deadline)? {
        Question::Metrics => answerer(),
        Question::Elsewhere => Answer::plain("404 Not Found", "metrics are at /metrics\n"),
        Question::Otherwise => Answer::plain("405 Method Not Allowed", "only GET is answered\n"),
        Question::TooLong => {
            Answer::plain("431 Request Header Fields Too Large", "too long a question\n")
        }
        Question::Nonsense => Answer::plain("400 Bad Request", "this is no HTTP\n"),
    };
    let bytes = answer.bytes();
    let mut rest = &*bytes;
    while !rest.is_empty() {
        connection.patience(left(deadline)?)?;
        let written = connection.write(rest)?;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        rest = rest.get(written..).unwrap_or_default();
    }
    connection.hang_up()
}

/// What is asked.
#[derive(Debug, PartialEq, Eq)]
enum Question {
    Metrics,
    Elsewhere,
    Otherwise,
    TooLong,
    Nonsense,
}

fn question(connection: &mut dyn Connection, deadline: Instant) -> io::Result<Question> {
    let mut head = Vec::new();
    let mut piece = [0; 1024];
    loop {
        if let Some(question) = understand(&head) {
            return Ok(question);
        }
        if head.len() >= HEAD {
            return Ok(Question::TooLong);
        }
        connection.patience(left(deadline)?)?;
        let length = connection.read(&mut piece)?;
        if length == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        head.extend(piece.iter().take(length));
    }
}

/// What a head asks; none if it has no end yet.
fn understand(head: &[u8]) -> Option<Question> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(head) {
        Ok(httparse::Status::Partial) => return None,
        Ok(httparse::Status::Complete(_)) => {}
        Err(httparse::Error::TooManyHeaders) => return Some(Question::TooLong),
        Err(_) => return Some(Question::Nonsense),
    }
    let path = request.path.and_then(|path| path.split('?').next());
    Some(match (request.method, path) {
        (Some("GET"), Some("/metrics")) => Question::Metrics,
        (Some("GET"), _) => Question::Elsewhere,
        _ => Question::Otherwise,
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
            assert_eq!(understand(&whole.as_bytes()[..length]), None, "{length}");
        }
        for (head, question) in [
            (whole, Question::Metrics),
            ("GET / HTTP/1.1\r\n\r\n", Question::Elsewhere),
            ("GET /metrics/ HTTP/1.0\r\n\r\n", Question::Elsewhere),
            ("POST /metrics HTTP/1.1\r\n\r\n", Question::Otherwise),
            ("\x16\x03\x01\x02\x00\x01", Question::Nonsense),
            ("GET /metrics\r\n\r\n", Question::Nonsense),
        ] {
            assert_eq!(understand(head.as_bytes()), Some(question), "{head:?}");
        }
        let many = format!("GET /metrics HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(HEADERS + 1));
        assert_eq!(understand(many.as_bytes()), Some(Question::TooLong));
    }

    /// A door, and how to come in.
    fn open(dir: &TempDir) -> impl Fn() -> UnixStream {
        let path = dir.path().join("socket");
        let listener = Listener::Unix(UnixListener::bind(&path).unwrap());
        serve(listener, Arc::new(|| Answer::metrics("a 1\n"))).unwrap();
        move || {
            let stream = UnixStream::connect(&path).unwrap();
            stream.set_read_timeout(Some(4 * PATIENCE)).unwrap();
            stream
        }
    }

    fn ask(mut stream: UnixStream, head: &[u8]) -> String {
        let mut answer = String::new();
        // One who is answered before the end of the question cannot say the rest.
        let _ = stream.write_all(head);
        let _ = stream.read_to_string(&mut answer);
        answer
    }

    const GET: &[u8] = b"GET /metrics HTTP/1.1\r\n\r\n";

    #[test]
    fn a_question_is_answered_and_the_connection_closed() {
        let dir = TempDir::new().unwrap();
        let come = open(&dir);
        let answer = ask(come(), GET);
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(
            answer.ends_with("\r\nContent-Length: 4\r\nConnection: close\r\n\r\na 1\n"),
            "{answer}"
        );
        let long = [b"GET /metrics HTTP/1.1\r\nA: ".as_slice(), &[b'b'; HEAD]].concat();
        assert!(ask(come(), &long).starts_with("HTTP/1.1 431 "));
    }

    #[test]
    fn who_says_nothing_keeps_nobody_else_and_is_sent_away() {
        let dir = TempDir::new().unwrap();
        let come = open(&dir);
        let silent: Vec<UnixStream> = (0..AT_ONCE - 1).map(|_| come()).collect();
        assert!(ask(come(), GET).starts_with("HTTP/1.1 200 "));
        // All seats are taken: who comes now is turned away, and nobody waits.
        let last = come();
        let begun = Instant::now();
        let mut turned_away = false;
        while !turned_away && begun.elapsed() < PATIENCE / 2 {
            turned_away = ask(come(), GET).is_empty();
        }
        assert!(turned_away);
        for mut stream in silent.into_iter().chain([last]) {
            let _ = stream.read(&mut [0]);
        }
        assert!(begun.elapsed() < 2 * PATIENCE);
        assert!(ask(come(), GET).starts_with("HTTP/1.1 200 "));
    }
}
