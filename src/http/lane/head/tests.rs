use actix_http::h1::{Codec, Message, MessageType};
use actix_http::{HttpMessage as _, ServiceConfig};
use bytes::BytesMut;
use httparse::EMPTY_HEADER;
use proptest::prelude::*;
use tokio_util::codec::Decoder as _;

use super::*;

const ID: &str = "0197a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b";

/// What a head is taken for: where it ends and whether the connection does, or the other arrivals' names.
fn arrival(bytes: &[u8]) -> Result<(usize, bool), &'static str> {
    let mut room = [EMPTY_HEADER; MAX_FIELDS];
    match read(bytes, &mut room) {
        Arrival::Poll(poll) => {
            let head = poll.head(None);
            assert_eq!(head.id, ID);
            Ok((poll.length, poll.close))
        }
        Arrival::Incomplete => Err("incomplete"),
        Arrival::Foreign => Err("foreign"),
    }
}

fn request(query: &str, fields: &str) -> String {
    format!("GET /v1/orders/{ID}/status{query} HTTP/1.1\r\nhost: pay.example.com\r\n{fields}\r\n")
}

#[test]
fn a_usual_poll_is_taken_with_all_that_it_says() {
    let fields =
        "authorization: Bearer pqs_x\r\nif-none-match: \"1\"\r\ncontent-length: 0\r\nconnection: Keep-Alive\r\n";
    for query in ["", "?", "?wait=25&since_version=3", "?client_secret=pqs_a-b_c&_=%2B1"] {
        let bytes = request(query, fields);
        assert_eq!(arrival(bytes.as_bytes()), Ok((bytes.len(), false)), "{bytes}");
    }
    let closing = request("", "Connection: CLOSE\r\n");
    assert_eq!(arrival(closing.as_bytes()), Ok((closing.len(), true)));
}

#[test]
fn whatever_is_odd_is_left_to_the_web_framework() {
    let foreign = [
        request("", "transfer-encoding: chunked\r\n"),
        request("", "content-length: 5\r\n"),
        request("", "content-length: 0, 0\r\n"),
        request("", "content-length: 0\r\nContent-Length: 0\r\n"),
        request("", "connection: close\r\nconnection: keep-alive\r\n"),
        request("", "Host: other.example.com\r\n"),
        request("", "").replace("host: pay.example.com\r\n", ""),
        request("", "expect: 100-continue\r\n"),
        request("", "upgrade: websocket\r\nconnection: upgrade\r\n"),
        request("", "connection: keep-alive, upgrade\r\n"),
        request("", "accept: application/json, text/event-stream\r\n"),
        request("", "x-folded: a\r\n b\r\n"),
        request("", "no colon\r\n"),
        request("", &"x-more: y\r\n".repeat(MAX_FIELDS)),
        request("#part", ""),
        request("?a=\"b\"", ""),
        request("/", ""),
        request("/../status", ""),
        request("", "").replace("HTTP/1.1", "HTTP/1.0"),
        request("", "").replace("GET ", "HEAD "),
        request("", "").replace("GET ", "get "),
        request("", "").replace("GET ", "\r\nGET "),
        request("", "").replace("/v1/", "http://pay.example.com/v1/"),
        request("", "").replace("/v1/", "/v1//"),
        request("", "").replace("0197", "%30197"),
        request("", "").replace("0197", "019"),
        request("", "").replace("/status", "/events"),
        "PUT /v1/orders/x/status HTTP/1.1\r\n\r\n".to_owned(),
        "G\r\n".to_owned(),
    ];
    for bytes in foreign {
        assert_eq!(arrival(bytes.as_bytes()), Err("foreign"), "{bytes}");
    }
}

#[test]
fn a_head_without_an_end_is_waited_for_only_so_long() {
    let mut bytes = request("", "").into_bytes();
    bytes.truncate(bytes.len() - 2);
    bytes.extend_from_slice(b"x-padding: ");
    bytes.resize(MAX_HEAD_BYTES - 1, b'a');
    assert_eq!(arrival(&bytes), Err("incomplete"));
    bytes.push(b'a');
    assert_eq!(arrival(&bytes), Err("foreign"));
}

proptest! {
    #[test]
    fn a_poll_is_the_same_wherever_it_is_cut_and_whatever_follows_it(
        query in "(\\?[a-z_]{1,9}=[a-zA-Z0-9%._-]{0,20})?",
        fields in prop::collection::vec(("[a-z]{3,5}-[a-z]{1,9}", "[!-~]{0,30}"), 0..9),
        behind in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let fields: Vec<_> = fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let bytes = request(&query, &fields.concat()).into_bytes();
        for cut in 0..bytes.len() {
            prop_assert_eq!(arrival(&bytes[..cut]), Err("incomplete"));
        }
        let length = bytes.len();
        prop_assert_eq!(arrival(&[bytes, behind].concat()), Ok((length, false)));
    }

    #[test]
    fn junk_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200), begun: bool) {
        let bytes = if begun { [BEGINNING, &bytes].concat() } else { bytes };
        let mut room = [EMPTY_HEADER; MAX_FIELDS];
        if let Arrival::Poll(poll) = read(&bytes, &mut room) {
            prop_assert!(poll.length <= bytes.len());
        }
    }
}

/// The lane takes for a poll only what the web framework takes for the same poll: same end, same target, no body.
#[test]
fn what_the_lane_takes_the_framework_would_read_alike() {
    const WORDS: [&str; 30] = [
        "GET /v1/orders/",
        ID,
        "/status",
        "?wait=25",
        "&since_version=3",
        " HTTP/1.1\r\n",
        "host: x\r\n",
        "Host: y\r\n",
        "authorization: Bearer pqs_x\r\n",
        "if-none-match: \"1\"\r\n",
        "content-length: 0\r\n",
        "Content-Length: 3\r\n",
        "transfer-encoding: chunked\r\n",
        "Transfer-Encoding: identity\r\n",
        "connection: close\r\n",
        "Connection: keep-alive, upgrade\r\n",
        "upgrade: websocket\r\n",
        "expect: 100-continue\r\n",
        "accept: text/event-stream\r\n",
        "\r\n",
        "\n",
        "\r",
        " ",
        "\t",
        ":",
        "%2F",
        "#",
        "\0",
        " HTTP/1.0\r\n",
        "http://x",
    ];
    let usual = request("", "");
    let usual = usual.strip_suffix("\r\n").expect("it ends with an empty line");
    bolero::check!().for_each(|bytes: &[u8]| {
        let spelled = bytes.iter().map(|byte| WORDS[usize::from(*byte) % WORDS.len()]);
        let spelled = spelled.collect::<String>();
        compare(&[usual.as_bytes(), bytes, b"\r\n\r\n"].concat());
        compare(spelled.as_bytes());
        compare(format!("{usual}{spelled}\r\n").as_bytes());
    });
}

fn compare(bytes: &[u8]) {
    let mut room = [EMPTY_HEADER; MAX_FIELDS];
    let Arrival::Poll(poll) = read(bytes, &mut room) else {
        return;
    };
    // actix's reader keeps a clock, which wants a runtime.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let (runtime, tasks) = (runtime.expect("a runtime"), tokio::task::LocalSet::new());
    let (_runtime, _tasks) = (runtime.enter(), tasks.enter());
    let mut rest = BytesMut::from(bytes);
    let mut codec = Codec::new(ServiceConfig::default());
    let read = codec.decode(&mut rest).expect("what the lane takes is a request");
    let Some(Message::Item(request)) = read else {
        panic!("the lane takes a head that is not at its end");
    };
    assert_eq!(bytes.len() - rest.len(), poll.length);
    assert_eq!(codec.message_type(), MessageType::None, "a body");
    assert_eq!(request.path(), format!("/v1/orders/{}/status", poll.id));
    assert_eq!(request.uri().query().unwrap_or_default(), poll.query);
    assert_eq!(request.headers().len(), poll.fields.len());
    assert_eq!(codec.keep_alive(), !poll.close);
}
