//! A server of HTTP for tests: it does what it is told, misconduct included.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// What was asked for: the path, and the first byte of the range.
pub type Asked = (String, Option<u64>);

/// What is answered.
pub struct Answer {
    pub status: &'static str,
    pub headers: Vec<String>,
    pub body: Vec<u8>,
    /// The connection is closed after so many bytes of the body.
    pub cut: Option<usize>,
}

impl Answer {
    /// The whole of `content`, whatever was asked for.
    pub fn whole(content: &[u8]) -> Self {
        Self { status: "200 OK", headers: vec![], body: content.to_vec(), cut: None }
    }

    /// The part of `content` that was asked for.
    pub fn range(content: &[u8], asked: &Asked) -> Self {
        let Some(from) = asked.1 else { return Self::whole(content) };
        let (from, total) = (from as usize, content.len());
        if from >= total {
            return Self::status("416 Range Not Satisfiable");
        }
        let range = format!("Content-Range: bytes {from}-{}/{total}", total - 1);
        Self { status: "206 Partial Content", headers: vec![range], body: content[from..].to_vec(), cut: None }
    }

    pub fn status(status: &'static str) -> Self {
        Self { status, headers: vec![], body: b"<html>sorry</html>".to_vec(), cut: None }
    }

    pub fn cut_after(self, bytes: usize) -> Self {
        Self { cut: Some(bytes), ..self }
    }
}

/// A server on a port of its own, for as long as the process lives.
pub struct Server {
    pub address: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Server {
    /// Answers the request of index `n` with `answer(n, request)`.
    pub fn start(answer: impl Fn(usize, &Asked) -> Answer + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&asked);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let request = read(&stream);
                let index = {
                    let mut log = log.lock().unwrap();
                    log.push(request.clone());
                    log.len() - 1
                };
                // The client may have gone: that is its own affair.
                let _ = write(&stream, &answer(index, &request));
            }
        });
        Self { address, asked }
    }

    /// All requests so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

fn read(stream: &TcpStream) -> Asked {
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok).take_while(|line| !line.is_empty());
    let first = lines.next().unwrap_or_default();
    let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
    let range = lines.filter_map(|line| {
        let line = line.to_ascii_lowercase();
        line.strip_prefix("range: bytes=")?.strip_suffix('-')?.parse().ok()
    });
    (path, range.last())
}

fn write(mut stream: &TcpStream, answer: &Answer) -> std::io::Result<()> {
    let mut head = format!("HTTP/1.1 {}\r\nContent-Length: {}\r\n", answer.status, answer.body.len());
    answer.headers.iter().for_each(|line| head.push_str(&format!("{line}\r\n")));
    stream.write_all(format!("{head}Connection: close\r\n\r\n").as_bytes())?;
    stream.write_all(&answer.body[..answer.cut.unwrap_or(answer.body.len())])
}
