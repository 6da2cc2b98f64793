//! The programs of the workload: this same binary, told by its environment what to be.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use crate::world::{HTTP_PORT, PORT};

#[test]
fn works() {
    let Ok(job) = std::env::var("HINDCAST_WORKER") else { return };
    let words: Vec<&str> = job.split(' ').collect();
    match words.as_slice() {
        ["serve"] => serve(),
        ["talk", to, sent, received] => talk(address(to), sent.parse().unwrap(), received.parse().unwrap()),
        ["refused", to] => assert!(TcpStream::connect(address(to)).is_err()),
        ["long", to, times, bytes] => long(address(to), times.parse().unwrap(), bytes.parse().unwrap()),
        ["http", to, target] => http(address(to), target),
        ["dns", to] => dns(address(to)),
        ["opens", times, path] => opens(times.parse().unwrap(), path),
        ["nobody", to] => drop(UdpSocket::bind("0.0.0.0:0").unwrap().send_to(b"anybody?", address(to)).unwrap()),
        ["udp", to, times, bytes] => udp(address(to), times.parse().unwrap(), bytes.parse().unwrap()),
        other => panic!("no such job: {other:?}"),
    }
}

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// Says how many bytes it wants back in its first sixteen, and how many it sends in the next.
fn talk(to: SocketAddr, sent: usize, received: usize) {
    let mut stream = TcpStream::connect(to).unwrap();
    let mut request = format!("{received:016}{sent:016}").into_bytes();
    request.resize(sent, b'x');
    stream.write_all(&request).unwrap();
    let mut response = Vec::new();
    stream.read_to_end(&mut response).unwrap();
    assert_eq!(response.len(), received);
}

fn serve() {
    serve_http();
    serve_dns();
    let udp = UdpSocket::bind(("0.0.0.0", PORT)).unwrap();
    std::thread::spawn(move || {
        let mut buffer = [0; 2048];
        while let Ok((length, from)) = udp.recv_from(&mut buffer) {
            udp.send_to(&buffer[..length], from).unwrap();
        }
    });
    let listener = TcpListener::bind(("0.0.0.0", PORT)).unwrap();
    println!("listening");
    for stream in listener.incoming() {
        let mut stream = stream.unwrap();
        let mut numbers = [0; 32];
        if stream.read_exact(&mut numbers).is_err() {
            continue;
        }
        let number = |bytes: &[u8]| std::str::from_utf8(bytes).unwrap().parse::<usize>().unwrap();
        let (wanted, coming) = (number(&numbers[..16]), number(&numbers[16..]));
        let mut rest = vec![0; coming - 32];
        stream.read_exact(&mut rest).unwrap();
        stream.write_all(&vec![b'y'; wanted]).unwrap();
    }
}

/// Sends a piece every half second.
fn long(to: SocketAddr, times: usize, bytes: usize) {
    let mut stream = TcpStream::connect(to).unwrap();
    let mut piece = format!("{:016}{:016}", 0, times * bytes).into_bytes();
    for _ in 0..times {
        piece.resize(bytes, b'z');
        stream.write_all(&piece).unwrap();
        piece.clear();
        std::thread::park_timeout(Duration::from_millis(500));
    }
    let mut response = Vec::new();
    stream.read_to_end(&mut response).unwrap();
}

fn udp(to: SocketAddr, times: usize, bytes: usize) {
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    socket.connect(to).unwrap();
    for _ in 0..times {
        socket.send(&vec![b'u'; bytes]).unwrap();
        assert_eq!(socket.recv(&mut vec![0; bytes]).unwrap(), bytes);
    }
}

/// Answers every request with 418 after a while.
fn serve_http() {
    let listener = TcpListener::bind(("0.0.0.0", HTTP_PORT)).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut buffer = [0; 2048];
            while stream.read(&mut buffer).is_ok_and(|length| length > 0) {
                std::thread::park_timeout(Duration::from_millis(20));
                stream.write_all(b"HTTP/1.1 418 I'm a teapot\r\nContent-Length: 0\r\n\r\n").unwrap();
            }
        }
    });
}

/// Two requests on one connection.
fn http(to: SocketAddr, target: &str) {
    let mut stream = TcpStream::connect(to).unwrap();
    for method in ["GET", "DELETE"] {
        stream.write_all(format!("{method} {target} HTTP/1.1\r\nHost: pots\r\n\r\n").as_bytes()).unwrap();
        let mut buffer = [0; 256];
        assert!(stream.read(&mut buffer).unwrap() > 0);
    }
}

/// Sends every question back as an answer: no such name.
fn serve_dns() {
    let socket = UdpSocket::bind(("0.0.0.0", 53)).unwrap();
    std::thread::spawn(move || {
        let mut buffer = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            buffer[2..4].copy_from_slice(&[0x81, 0x83]);
            socket.send_to(&buffer[..length], from).unwrap();
        }
    });
}

/// Asks for the address of `pots.example`.
fn dns(to: SocketAddr) {
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let question = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x04pots\x07example\x00\x00\x01\x00\x01";
    socket.send_to(question, to).unwrap();
    assert_eq!(socket.recv(&mut [0; 512]).unwrap(), question.len());
}

/// Opens a file to write it, over and over.
fn opens(times: usize, path: &str) {
    for _ in 0..times {
        std::fs::OpenOptions::new().append(true).create(true).open(path).unwrap();
    }
}
