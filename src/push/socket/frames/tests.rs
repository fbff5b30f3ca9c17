use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::error::PayloadError;
use actix_web::test::TestRequest;
use actix_web::{FromRequest as _, web};
use bytes::Bytes;
use futures_util::{FutureExt as _, Stream, stream};
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// A message and the lengths that it is cut into; a ping stands between its fragments.
#[derive(Debug, Clone)]
struct Sent {
    is_text: bool,
    bytes: Vec<u8>,
    cuts: Vec<usize>,
}

fn sent() -> impl Strategy<Value = Sent> {
    let text = any::<String>().prop_map(|text| (true, text.into_bytes()));
    let binary = vec(any::<u8>(), 0..400).prop_map(|bytes| (false, bytes));
    (prop_oneof![text, binary], vec(0_usize..200, 0..4)).prop_map(|((is_text, bytes), cuts)| Sent {
        is_text,
        bytes,
        cuts,
    })
}

/// A frame as a client writes it (RFC 6455 §5.2).
fn write_frame(out: &mut Vec<u8>, opcode: u8, is_last: bool, payload: &[u8]) {
    const MASK: [u8; 4] = [0x5a, 0x00, 0xff, 0x13];
    out.push(opcode | if is_last { 0x80 } else { 0 });
    match u16::try_from(payload.len()).expect("is small") {
        length @ 0..126 => out.push(0x80 | u8::try_from(length).expect("is small")),
        length => {
            out.push(0x80 | 0x7e);
            out.extend(length.to_be_bytes());
        }
    }
    out.extend(MASK);
    out.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
}

fn write_message(out: &mut Vec<u8>, sent: &Sent) {
    let mut opcode = if sent.is_text { 1 } else { 2 };
    let mut rest = &sent.bytes[..];
    for cut in &sent.cuts {
        let (part, behind) = rest.split_at(rest.len().min(*cut));
        write_frame(out, opcode, false, part);
        write_frame(out, 9, true, b"between");
        (opcode, rest) = (0, behind);
    }
    write_frame(out, opcode, true, rest);
}

fn frames_of(chunks: Vec<Bytes>) -> Frames {
    let chunks = stream::iter(chunks.into_iter().map(Ok));
    let chunks: Pin<Box<dyn Stream<Item = Result<Bytes, PayloadError>>>> = Box::pin(chunks);
    let request = TestRequest::default().to_http_request();
    let payload = web::Payload::from_request(&request, &mut Payload::from(chunks)).now_or_never();
    Frames::new(payload.expect("is there").expect("is a payload"))
}

/// Everything that arrives of these bytes when they come in pieces of that length.
fn read_all(bytes: &[u8], piece: usize) -> (Vec<Arrived>, Closing) {
    let mut frames = frames_of(bytes.chunks(piece).map(Bytes::copy_from_slice).collect());
    let mut arrived = Vec::new();
    loop {
        match frames.next().now_or_never().expect("all of it has come") {
            Arrived::End(closing) => return (arrived, closing),
            other => arrived.push(other),
        }
    }
}

proptest! {
    #[test]
    fn messages_arrive_as_they_were_sent_however_they_are_fragmented_and_wherever_they_are_split(
        messages in vec(sent(), 0..5), piece in 1_usize..300,
    ) {
        let mut bytes = Vec::new();
        for sent in &messages {
            write_message(&mut bytes, sent);
        }
        let (arrived, closing) = read_all(&bytes, piece);
        prop_assert_eq!(closing, Closing::GONE);
        let pings = arrived.iter().filter(|it| matches!(it, Arrived::Ping(bytes) if bytes == "between")).count();
        prop_assert_eq!(pings, messages.iter().map(|sent| sent.cuts.len()).sum::<usize>());
        let read: Vec<(bool, Vec<u8>)> = arrived.into_iter().filter_map(|it| match it {
            Arrived::Text(text) => Some((true, text.into_bytes().to_vec())),
            Arrived::Binary(bytes) => Some((false, bytes.to_vec())),
            Arrived::Ping(_) | Arrived::Pong | Arrived::End(_) => None,
        }).collect();
        let sent: Vec<_> = messages.into_iter().map(|sent| (sent.is_text, sent.bytes)).collect();
        prop_assert_eq!(read, sent);
    }

    #[test]
    fn junk_ends_and_does_so_alike_wherever_it_is_split(bytes in vec(any::<u8>(), 0..300), piece in 1_usize..50) {
        let whole = read_all(&bytes, bytes.len().max(1));
        prop_assert_eq!(format!("{:?}", read_all(&bytes, piece)), format!("{whole:?}"));
    }
}

#[test]
fn a_message_may_come_in_1024_fragments_and_one_more_is_told_as_what_it_is() {
    for (fragments, ended) in [(1024, Closing::GONE), (1025, Closing::TOO_MANY_FRAGMENTS)] {
        let mut bytes = Vec::new();
        for fragment in 1..=fragments {
            write_frame(&mut bytes, u8::from(fragment == 1), fragment == fragments, b"x");
        }
        let (arrived, closing) = read_all(&bytes, bytes.len());
        assert_eq!(closing, ended, "{fragments}");
        assert_eq!(arrived.len(), usize::from(ended == Closing::GONE));
    }
}

/// Every kind of head, right and wrong, with every length that matters: what is wrong with a frame doesn't depend on how much of it has come.
#[test]
fn each_head_is_judged_alike_whether_it_comes_whole_or_byte_by_byte() {
    for first in 0..=u8::MAX {
        for short in [0, 1, 0x7d, 0x7e, 0x7f, 0x80, 0x81, 0xfd, 0xfe, 0xff] {
            for length in [0, 1, 126, 65_535, 65_536, 65_537, u64::MAX >> 1, u64::MAX] {
                let mut head = vec![first, short];
                head.extend(length.to_be_bytes());
                head.extend([0; 8]);
                let whole = read_all(&head, head.len());
                assert_eq!(format!("{:?}", read_all(&head, 1)), format!("{whole:?}"), "{head:02x?}");
            }
        }
    }
}
