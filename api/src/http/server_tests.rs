use std::{
    io::{Read, Write},
    net::TcpStream,
};

use super::*;
use crate::http::example::features;

/// A server on a free port, and what it answers on one connection to `request`.
async fn exchange(request: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let settings = Settings { workers: 1, head_timeout: Duration::from_millis(300), ..Settings::default() };
    let server = serve(listener, &settings, features).unwrap();
    let handle = server.handle();
    let running = tokio::spawn(server);
    let answer = tokio::task::spawn_blocking(move || {
        let mut connection = TcpStream::connect(address).unwrap();
        connection.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        connection.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        connection.read_to_end(&mut answer).unwrap();
        String::from_utf8(answer).unwrap()
    })
    .await
    .unwrap();
    handle.stop(true).await;
    running.await.unwrap().unwrap();
    answer
}

#[actix_web::test]
async fn head_is_get_without_the_body_also_on_a_connection_that_goes_on() {
    let answer = exchange(
        "HEAD /openapi.json HTTP/1.1\r\nHost: a\r\n\r\n\
         GET /nowhere HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    )
    .await;
    let (head, rest) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK") && head.contains("content-type: application/json"), "{head}");
    assert!(!head.to_lowercase().contains("content-length: 0\r"), "{head}");
    assert!(rest.starts_with("HTTP/1.1 404"), "{rest}");
    assert!(rest.contains("unknown_route"), "{rest}");
}

#[actix_web::test]
async fn a_head_that_never_ends_is_given_up() {
    assert!(exchange("GET / HTTP/1.1\r\nHost: a\r\n").await.starts_with("HTTP/1.1 408"));
}

#[actix_web::test]
async fn a_large_body_is_refused_before_it_is_read() {
    let answer = exchange(
        "POST /v1/batch HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 99999999\r\n\
         Connection: close\r\n\r\n",
    )
    .await;
    assert!(answer.starts_with("HTTP/1.1 413") && answer.contains("payload_too_large"), "{answer}");
}
