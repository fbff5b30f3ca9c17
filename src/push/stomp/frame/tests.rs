//! The codec against the grammar of each version, and against junk.

use bolero::check;
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// Feeds the pieces, and reads all frames after each.
fn decode(version: Version, pieces: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Result<Vec<Frame>, FrameError> {
    let mut decoder = Decoder::new();
    decoder.version = version;
    let mut frames = Vec::new();
    for piece in pieces {
        decoder.feed(piece.as_ref());
        while let Some(frame) = decoder.next_frame()? {
            frames.push(frame);
        }
    }
    Ok(frames)
}

fn whole(version: Version, bytes: &[u8]) -> Result<Vec<Frame>, FrameError> {
    decode(version, [bytes])
}

/// A text that the version can carry in a header.
fn header_text(version: Version, least: usize) -> BoxedStrategy<String> {
    let characters = match version {
        Version::V10 => "[a-z\\\\é支0-9 /.]",
        Version::V11 => "[a-z\\\\:\né支0-9 /.]",
        Version::V12 => "[a-z\\\\:\r\né支0-9 /.]",
    };
    let text = vec(characters, least..12).prop_map(|characters| characters.concat());
    let text = text.prop_map(move |text| match version {
        Version::V10 => text.trim().to_owned(),
        _ => text,
    });
    text.prop_filter("a name is not empty", move |text| text.len() >= least)
        .boxed()
}

fn frame(version: Version) -> impl Strategy<Value = Frame> {
    let headers = vec((header_text(version, 1), header_text(version, 0)), 0..6);
    let command = prop_oneof![Just("SEND"), Just("SUBSCRIBE"), Just("MESSAGE"), Just("ERROR")];
    (command, headers, vec(any::<u8>(), 0..80)).prop_map(|(command, headers, body)| {
        let mut frame = Frame::new(command);
        frame.headers = headers.into_iter().map(|(name, value)| (name.into(), value)).collect();
        frame.body = body.into();
        frame
    })
}

fn versioned() -> impl Strategy<Value = (Version, Vec<Frame>)> {
    proptest::sample::select(&Version::ALL[..]).prop_flat_map(|version| (Just(version), vec(frame(version), 1..4)))
}

/// Frames as they are sent, with heart-beats between them.
fn wire(version: Version, frames: &[Frame], heart_beat: &str) -> Vec<u8> {
    let encoded = frames.iter().flat_map(|frame| {
        let mut bytes = frame.encode(version);
        bytes.extend_from_slice(heart_beat.as_bytes());
        bytes
    });
    encoded.collect()
}

fn without_length(mut frame: Frame) -> Frame {
    frame.headers.retain(|(name, _)| name != CONTENT_LENGTH);
    frame
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded_as_it_was((version, frames) in versioned(), heart_beat in "(\n|\r\n){0,3}") {
        let decoded = whole(version, &wire(version, &frames, &heart_beat)).unwrap();
        let decoded: Vec<_> = decoded.into_iter().map(without_length).collect();
        prop_assert_eq!(decoded, frames);
    }

    #[test]
    fn wherever_the_bytes_are_cut_the_frames_are_the_same((version, frames) in versioned(), heart_beat in "(\n|\r\n){0,3}") {
        let bytes = wire(version, &frames, &heart_beat);
        let expected = whole(version, &bytes).unwrap();
        for at in 0..=bytes.len() {
            let (first, second) = bytes.split_at(at);
            prop_assert_eq!(&decode(version, [first, second]).unwrap(), &expected);
        }
        prop_assert_eq!(decode(version, bytes.chunks(1)).unwrap(), expected);
    }
}

#[test]
fn junk_never_panics_and_means_the_same_in_any_pieces() {
    let words: [&[u8]; 14] = [
        b"SEND",
        b"CONNECT",
        b"\n",
        b"\r",
        b"\0",
        b":",
        b"\\n",
        b"\\",
        b"content-length:3",
        b"abc",
        b"\xff",
        b"id:1",
        b" ",
        b"\n\n",
    ];
    check!().for_each(|bytes: &[u8]| {
        let spelt: Vec<u8> = bytes
            .iter()
            .flat_map(|byte| words[usize::from(*byte) % words.len()])
            .copied()
            .collect();
        for bytes in [bytes, &spelt] {
            for version in Version::ALL {
                assert_eq!(whole(version, bytes), decode(version, bytes.chunks(1)), "{bytes:?}");
            }
        }
    });
}

/// The very bytes, so that the round trip is not one of two mistakes.
#[test]
fn headers_are_escaped_by_the_rules_of_their_version() {
    let frame = Frame::new("MESSAGE").with("a:b", "c\\d\ne\rf");
    let encoded = |version| String::from_utf8(frame.encode(version)).unwrap();
    assert_eq!(encoded(Version::V12), "MESSAGE\na\\cb:c\\\\d\\ne\\rf\n\n\0");
    assert_eq!(encoded(Version::V11), "MESSAGE\na\\cb:c\\\\d\\ne\rf\n\n\0");
    assert_eq!(encoded(Version::V10), "MESSAGE\na:b:c\\d e\rf\n\n\0");
    let connected = Frame::new("CONNECTED").with("server", "a:b");
    assert_eq!(connected.encode(Version::V12), b"CONNECTED\nserver:a:b\n\n\0");
    let value = |version, bytes: &[u8]| whole(version, bytes).map(|frames| frames[0].header("k").map(str::to_owned));
    for (version, bytes, expected) in [
        (Version::V12, &b"SEND\nk:a\\cb\\r\n\n\0"[..], Ok("a:b\r")),
        (Version::V12, b"SEND\nk:a:b\n\n\0", Ok("a:b")),
        (Version::V12, b"SEND\nk: a \n\n\0", Ok(" a ")),
        (Version::V12, b"SEND\nk:a\\t\n\n\0", Err(FrameError::BadEscape)),
        (Version::V12, b"SEND\nk:a\\\n\n\0", Err(FrameError::BadEscape)),
        (Version::V11, b"SEND\nk:a\\r\n\n\0", Err(FrameError::BadEscape)),
        (Version::V10, b"SEND\nk: a\\t\n\n\0", Ok("a\\t")),
        (Version::V12, b"CONNECT\nk: a\\t\n\n\0", Ok("a\\t")),
        (Version::V12, b"SEND\r\nk:a\r\nk:b\r\n\r\n\0", Ok("a")),
    ] {
        assert_eq!(
            value(version, bytes),
            expected.map(|text: &str| Some(text.to_owned())),
            "{bytes:?}"
        );
    }
}

#[test]
fn a_body_is_as_long_as_it_says_or_ends_with_the_frame() {
    let body = |bytes: &[u8]| whole(Version::V12, bytes).map(|frames| frames[0].body.to_vec());
    assert_eq!(body(b"SEND\ncontent-length:3\n\na\0b\0"), Ok(b"a\0b".to_vec()));
    assert_eq!(body(b"SEND\n\nab\0\n"), Ok(b"ab".to_vec()));
    assert_eq!(body(b"SEND\ncontent-length:1\n\nab\0"), Err(FrameError::BadLength));
    for length in ["-1", "x", "", "1 1", "99999999999999999999"] {
        let bytes = format!("SEND\ncontent-length:{length}\n\nab\0");
        assert_eq!(body(bytes.as_bytes()), Err(FrameError::BadLength), "{length}");
    }
}

#[test]
fn what_is_no_frame_is_refused_as_soon_as_that_is_sure() {
    for (bytes, error) in [
        (&b"SEND\0"[..], FrameError::NoEmptyLine),
        (b"SEND\nno colon\n\n\0", FrameError::NoHeader),
        (b"SEND\n:value\n\n\0", FrameError::NoHeader),
        (b"SEND\nk:\xff\n\n\0", FrameError::NotUtf8),
        (b"SEND\ncontent-length:65537\n\n", FrameError::TooLarge),
        (b"SEND\ncontent-length:65530\n\n", FrameError::TooLarge),
    ] {
        assert_eq!(whole(Version::V12, bytes), Err(error), "{bytes:?}");
    }
    let headers = |count| format!("SEND\n{}\n\0", "k:v\n".repeat(count));
    assert!(whole(Version::V12, headers(MAX_HEADERS).as_bytes()).is_ok());
    assert_eq!(
        whole(Version::V12, headers(MAX_HEADERS + 1).as_bytes()),
        Err(FrameError::TooManyHeaders)
    );
    for endless in [&b"a"[..], b"SEND\n\na", b"SEND\ncontent-length:65520\n\na"] {
        let mut decoder = Decoder::new();
        decoder.feed(endless);
        let refused_at = (0..2 * MAX_BYTES).find(|_| {
            decoder.feed(b"a");
            decoder.next_frame().is_err()
        });
        assert!(
            refused_at.is_some_and(|at| at <= MAX_BYTES),
            "{endless:?}: {refused_at:?}"
        );
    }
}
