//! What comes out of the sieve is read by the library's own parser here: that it can is what the sieve is for.

use lapin::protocol::BasicProperties;
use lapin::protocol::basic::parse_properties;
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

const LARGEST: usize = LARGEST_FRAME as usize;

fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
    let size = u32::try_from(payload.len()).expect("is small");
    [&[kind, 0, 1], &size.to_be_bytes()[..], payload, &[END]].concat()
}

/// A content header; the class is basic, the body five bytes.
fn header(properties: &[u8]) -> Vec<u8> {
    frame(
        CONTENT_HEADER,
        &[&[0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5], properties].concat(),
    )
}

fn short(text: impl AsRef<[u8]>) -> Vec<u8> {
    let text = text.as_ref();
    [&[u8::try_from(text.len()).expect("is short")], text].concat()
}

fn long(bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let bytes = bytes.as_ref();
    let length = u32::try_from(bytes.len()).expect("is not that long");
    [&length.to_be_bytes(), bytes].concat()
}

/// Properties that are headers only: these members.
fn headers(members: &[u8]) -> Vec<u8> {
    [vec![0x20, 0], long(members)].concat()
}

/// The header `a` with a value of that type.
fn member(kind: u8, value: impl AsRef<[u8]>) -> Vec<u8> {
    [&short("a")[..], &[kind], value.as_ref()].concat()
}

fn sieved(input: &[u8]) -> Result<Vec<u8>, BadFrame> {
    let mut output = Vec::new();
    Sieve::new(LARGEST_FRAME).pass(input, &mut output)?;
    Ok(output)
}

/// What the library makes of a header that came through. (It takes all of it, or nothing.)
fn read(header: &[u8]) -> BasicProperties {
    let size = u32::from_be_bytes(header[3..HEAD].try_into().expect("is four bytes")) as usize;
    assert_eq!((header.len(), header[header.len() - 1]), (HEAD + size + 1, END));
    let (rest, properties) =
        parse_properties(&header[HEAD + BEFORE_PROPERTIES..header.len() - 1]).expect("the library can read it");
    assert!(rest.is_empty());
    properties
}

fn is_left_out(properties: &[u8]) -> bool {
    let output = sieved(&header(properties)).expect("is AMQP");
    let read = read(&output);
    if output == header(properties) {
        return false;
    }
    assert_eq!(output, header(LEFT_OUT));
    assert!(
        read.headers()
            .as_ref()
            .is_some_and(|it| it.contains_key("payquery-properties-left-out"))
    );
    assert_eq!(read.message_id(), &None);
    true
}

fn nested(kind: u8, depth: u32) -> Vec<u8> {
    let name = if kind == b'F' { short("") } else { Vec::new() };
    let innermost = (1..depth).fold(Vec::new(), |inner, _| [&name[..], &[kind], &long(inner)].concat());
    if kind == b'F' || depth == 1 {
        innermost
    } else {
        [short(""), innermost].concat()
    }
}

#[test]
fn headers_that_are_nested_too_deep_are_left_out() {
    for kind in [b'F', b'A'] {
        for depth in [1, 2, 15, 16] {
            assert!(!is_left_out(&headers(&nested(kind, depth))), "{depth}");
        }
        for depth in [17, 18, 400, 10_000] {
            assert!(is_left_out(&headers(&nested(kind, depth))), "{depth}");
        }
    }
}

#[test]
fn texts_that_are_not_utf_8_are_left_out_wherever_they_stand() {
    for (flag, text) in [15, 14, 10, 9, 8, 7, 5, 4, 3, 2]
        .into_iter()
        .zip([&b"\xff"[..], b"ok\xc3"].into_iter().cycle())
    {
        let flags = u16::to_be_bytes(1 << flag);
        assert!(is_left_out(&[&flags, &short(text)[..]].concat()), "{flag}");
        assert!(!is_left_out(&[&flags, &short("订")[..]].concat()), "{flag}");
    }
    assert!(is_left_out(&headers(&[&short(b"\xff"), &b"V"[..]].concat())));
    let inner = [&short(b"\xff"), &b"V"[..]].concat();
    assert!(is_left_out(&headers(&member(b'F', long(inner)))));
    assert!(
        !is_left_out(&headers(&member(b'S', long(b"\xff")))),
        "a long one is bytes"
    );
}

#[test]
fn values_of_unknown_types_and_lengths_that_lie_are_left_out() {
    for kind in 0..=u8::MAX {
        let is_known = lapin::types::AMQPType::from_id(kind.into()).is_some();
        // (Enough for any of them; whatever has a length has none.)
        let is_readable = (0..9).any(|length| !is_left_out(&headers(&member(kind, vec![0; length]))));
        assert_eq!(is_readable, is_known, "{}", char::from(kind));
    }
    for lie in [
        &[0x20, 0, 0, 0, 0, 1][..],
        &[0x20, 0, 0xff, 0xff, 0xff, 0xff],
        &[0x20, 0, 0, 0, 0, 0, 7],
        &[0x01, 0x80, 3, b'a', b'b'],
        &[0x80],
        &[],
        // More flags, that never come; and one that stands for nothing.
        &[0, 1, 0, 0],
        &[0, 2],
    ] {
        let output = sieved(&header(lie));
        assert_eq!(output, Ok(header(LEFT_OUT)), "{lie:?}");
    }
    assert!(is_left_out(&headers(&member(b'S', [0, 0, 0, 9]))));
}

#[test]
fn headers_of_thousands_of_values_are_left_out() {
    assert!(!is_left_out(&headers(&member(b'A', long([b'V'; 1999])))));
    assert!(is_left_out(&headers(&member(b'A', long([b'V'; 2000])))));
}

#[test]
fn a_header_that_is_larger_than_a_frame_may_be_comes_without_its_properties() {
    let large = header(&headers(&member(b'S', long(vec![b'x'; LARGEST]))));
    let body = frame(BODY, b"hello");
    assert_eq!(
        sieved(&[&large[..], &body].concat()),
        Ok([header(LEFT_OUT), body].concat())
    );
    for kind in [METHOD, BODY, HEARTBEAT] {
        let large = frame(kind, &vec![0; LARGEST - 7]);
        assert_eq!(sieved(&large), Err(BadFrame::Size(LARGEST + 1)));
        let largest = frame(kind, &vec![0; LARGEST - 8]);
        assert_eq!(sieved(&largest), Ok(largest));
    }
}

#[test]
fn texts_of_methods_that_are_not_utf_8_become_question_marks() {
    let deliver = |tag: &[u8], exchange: &[u8], key: &[u8]| {
        let parts = [&[0, 60, 0, 60][..], &short(tag), &[7; 9], &short(exchange), &short(key)];
        frame(METHOD, &parts.concat())
    };
    let odd = sieved(&deliver(b"ctag", b"a\xffb", b"\xc3"));
    assert_eq!(odd, Ok(deliver(b"ctag", b"???", b"?")));
    let closing = |text: &[u8]| frame(METHOD, &[&[0, 10, 0, 50, 1, 1][..], &short(text), &[0; 4]].concat());
    assert_eq!(
        sieved(&closing("kein Weg zu 订".as_bytes())),
        Ok(closing("kein Weg zu 订".as_bytes()))
    );
    assert_eq!(sieved(&closing(b"cut \xe8\xae")), Ok(closing(b"??????")));
    let truncated = frame(METHOD, &[0, 60, 0, 60, 200, 0xff]);
    assert_eq!(sieved(&truncated), Ok(truncated), "is not ours to mend");
}

#[test]
fn what_no_broker_sends_is_an_error() {
    assert_eq!(sieved(&[4, 0, 0, 0, 0, 0, 0]), Err(BadFrame::Type(4)));
    assert_eq!(sieved(&[2, 0, 0, 0, 0, 0, 0, END]), Err(BadFrame::End));
    let mut endless = header(&[0, 0]);
    *endless.last_mut().expect("it has an end") = 0;
    assert_eq!(sieved(&endless), Err(BadFrame::End));
    assert_eq!(sieved(b"AMQP\x00\x00\x09\x01"), Ok(b"AMQP\x00\x00\x09\x01".to_vec()));
}

fn text() -> impl Strategy<Value = Vec<u8>> {
    ".{0,12}".prop_map(short)
}

/// A value with its type, as the protocol has it.
fn value() -> impl Strategy<Value = Vec<u8>> {
    let fixed = |kinds: &'static [u8], length: usize| {
        (prop::sample::select(kinds), vec(any::<u8>(), length)).prop_map(|(kind, bytes)| [&[kind], &bytes[..]].concat())
    };
    let bytes = (prop::sample::select(&b"Sx"[..]), vec(any::<u8>(), 0..20))
        .prop_map(|(kind, bytes)| [&[kind], &long(bytes)[..]].concat());
    let leaf = prop_oneof![
        fixed(b"V", 0),
        fixed(b"tbB", 1),
        fixed(b"suU", 2),
        fixed(b"Iif", 4),
        fixed(b"D", 5),
        fixed(b"LldT", 8),
        bytes
    ];
    leaf.prop_recursive(8, 40, 5, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..5).prop_map(|values| [&b"A"[..], &long(values.concat())].concat()),
            table(inner).prop_map(|table| [&b"F"[..], &table].concat())
        ]
    })
}

fn table(value: impl Strategy<Value = Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    vec((text(), value).prop_map(|(name, value)| [name, value].concat()), 0..5)
        .prop_map(|members| long(members.concat()))
}

fn properties() -> impl Strategy<Value = Vec<u8>> {
    let texts = vec(text(), 11);
    (any::<u16>(), texts, table(value()), any::<[u8; 10]>()).prop_map(|(flags, texts, table, numbers)| {
        let mut texts = texts.into_iter();
        let mut bytes = (flags & !0b11).to_be_bytes().to_vec();
        for place in 0..14 {
            let value = match place {
                2 => table.clone(),
                3 => vec![numbers[0]],
                4 => vec![numbers[1]],
                9 => numbers[2..].to_vec(),
                _ => texts.next().expect("there are eleven"),
            };
            if flags & (1 << (15 - place)) != 0 {
                bytes.extend(value);
            }
        }
        bytes
    })
}

fn well_formed() -> impl Strategy<Value = Vec<u8>> {
    let body = vec(any::<u8>(), 0..50).prop_map(|body| frame(BODY, &body));
    let deliver = (text(), text(), text())
        .prop_map(|(tag, exchange, key)| frame(METHOD, &[vec![0, 60, 0, 60], tag, vec![0; 9], exchange, key].concat()));
    let other = vec(any::<u8>(), 0..20).prop_map(|arguments| frame(METHOD, &[vec![0, 60, 0, 80], arguments].concat()));
    let heartbeat = Just(frame(HEARTBEAT, b""));
    prop_oneof![3 => properties().prop_map(|it| header(&it)), 2 => deliver, 1 => other, 2 => body, 1 => heartbeat]
}

/// Frames, some bytes of which may be others.
fn nearly_well_formed() -> impl Strategy<Value = Vec<u8>> {
    let changes = vec((any::<prop::sample::Index>(), any::<u8>()), 0..6);
    (vec(well_formed(), 1..5), changes).prop_map(|(frames, changes)| {
        let mut bytes = frames.concat();
        for (place, byte) in changes {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        bytes
    })
}

proptest! {
    #[test]
    fn what_is_well_formed_passes_byte_for_byte(frames in vec(well_formed(), 0..8)) {
        let bytes = frames.concat();
        prop_assert_eq!(sieved(&bytes), Ok(bytes));
    }

    #[test]
    fn where_the_input_is_split_makes_no_difference(
        bytes in prop_oneof![nearly_well_formed(), vec(any::<u8>(), 0..200)],
        sizes in vec(1_usize..20, 1..40),
    ) {
        let (mut sieve, mut output, mut rest, mut sizes) = (Sieve::new(LARGEST_FRAME), Vec::new(), &bytes[..], sizes.into_iter().cycle());
        let mut outcome = Ok(());
        while !rest.is_empty() && outcome.is_ok() {
            let (this, behind) = rest.split_at(rest.len().min(sizes.next().expect("goes round")));
            outcome = sieve.pass(this, &mut output);
            rest = behind;
        }
        let mut at_once = Vec::new();
        prop_assert_eq!(outcome, Sieve::new(LARGEST_FRAME).pass(&bytes, &mut at_once));
        prop_assert_eq!(output, at_once);
    }

    #[test]
    fn whatever_stands_in_a_header_the_library_can_read_what_comes_out(
        properties in properties(),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        junk in prop::option::of(vec(any::<u8>(), 0..100)),
    ) {
        let mut bytes = junk.unwrap_or(properties);
        for (place, byte) in changes {
            if !bytes.is_empty() {
                let place = place.index(bytes.len());
                bytes[place] = byte;
            }
        }
        // What the library can read is never left out without need; what it can't always is.
        let could = bytes.len() >= 2
            && bytes[1].trailing_zeros() >= 2
            && parse_properties(&bytes[..]).is_ok_and(|(rest, _)| rest.is_empty());
        prop_assert_eq!(is_left_out(&bytes), !could);
    }
}
