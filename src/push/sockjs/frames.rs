//! SockJS frames, as each transport wraps them; and what clients send.
//!
//! What stays true: whatever a message holds, a frame is one line of ASCII-safe JSON, and cannot end the script, the event or
//! the line that it is put into.

use std::fmt::Write as _;

/// What the server tells a SockJS client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    Open,
    HeartBeat,
    Messages(Vec<String>),
    Close(Close),
}

/// Why a session is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Close {
    /// The server is done with the session.
    GoAway,
    /// Another connection of the session is still receiving.
    AnotherConnection,
    /// A receiving connection broke in the middle.
    Interrupted,
}

/// How a transport wraps its frames.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wrapping {
    /// In a WebSocket message.
    Socket,
    /// A line: xhr, xhr_streaming.
    Line,
    /// A server-sent event.
    Event,
    /// A call of the page's function from a script element.
    Script,
    /// A call of the function of that name.
    Jsonp(Callback),
}

/// The name of a JavaScript function that a client may have called: nothing in it can be anything else than a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Callback(String);

/// The client's part is not what the protocol says. The texts are the protocol's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PayloadError {
    #[error("Payload expected.")]
    Missing,
    #[error("Broken JSON encoding.")]
    NotJson,
}

/// Far longer than any name that a client makes up (`_jp.abcdef`).
const MAX_CALLBACK: usize = 64;

impl Close {
    fn parts(self) -> (u16, &'static str) {
        match self {
            Self::GoAway => (3000, "Go away!"),
            Self::AnotherConnection => (2010, "Another connection still open"),
            Self::Interrupted => (1002, "Connection interrupted"),
        }
    }
}

impl Frame {
    /// The frame itself, as a WebSocket message carries it.
    pub fn text(&self) -> String {
        match self {
            Self::Open => "o".into(),
            Self::HeartBeat => "h".into(),
            Self::Close(close) => {
                let (code, reason) = close.parts();
                format!("c[{code},\"{reason}\"]")
            }
            Self::Messages(messages) => {
                let mut text = String::from("a[");
                for (at, message) in messages.iter().enumerate() {
                    if at > 0 {
                        text.push(',');
                    }
                    quote(message, &mut text);
                }
                text.push(']');
                text
            }
        }
    }

    pub fn wrap(&self, wrapping: &Wrapping) -> String {
        let text = self.text();
        let mut quoted = String::new();
        match wrapping {
            Wrapping::Socket => text,
            Wrapping::Line => text + "\n",
            Wrapping::Event => format!("data: {text}\r\n\r\n"),
            Wrapping::Script => {
                quote(&text, &mut quoted);
                format!("<script>\np({quoted});\n</script>\r\n")
            }
            Wrapping::Jsonp(Callback(name)) => {
                quote(&text, &mut quoted);
                // The comment keeps the name from being the first bytes of an answer: they could be made a file of another type.
                format!("/**/{name}({quoted});\r\n")
            }
        }
    }
}

/// A JSON string that every JavaScript reads as it was meant, and that ends no script element. The protocol lists characters
/// that browsers change on their way; all that is not plain ASCII is escaped here, and `<` and `>`.
fn quote(text: &str, into: &mut String) {
    into.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => into.extend(['\\', character]),
            '\n' => into.push_str("\\n"),
            '\r' => into.push_str("\\r"),
            '\t' => into.push_str("\\t"),
            ' '..='~' if !matches!(character, '<' | '>') => into.push(character),
            _ => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    write!(into, "\\u{unit:04x}").expect("a String takes everything");
                }
            }
        }
    }
    into.push('"');
}

impl Callback {
    pub fn parse(name: &str) -> Option<Self> {
        let is_fine = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        let is_name = |part: &str| !part.starts_with(|first: char| first.is_ascii_digit()) && part.bytes().all(is_fine);
        let mut parts = name.split('.');
        let fine = name.len() <= MAX_CALLBACK && parts.all(|part| !part.is_empty() && is_name(part));
        fine.then(|| Self(name.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The messages in what a client sent: a list of strings.
pub fn read_messages(payload: &[u8]) -> Result<Vec<String>, PayloadError> {
    if payload.is_empty() {
        return Err(PayloadError::Missing);
    }
    serde_json::from_slice(payload).map_err(|_| PayloadError::NotJson)
}

/// The same from a WebSocket, where one string may stand alone and an empty message says nothing.
pub fn read_socket_messages(payload: &str) -> Result<Vec<String>, PayloadError> {
    if payload.is_empty() {
        return Ok(Vec::new());
    }
    if payload.starts_with('"') {
        let message = serde_json::from_str(payload).map_err(|_| PayloadError::NotJson)?;
        return Ok(vec![message]);
    }
    read_messages(payload.as_bytes())
}

/// The same from a form's field `d`, as `jsonp_send` has it.
pub fn read_form_messages(form: &[u8]) -> Result<Vec<String>, PayloadError> {
    let field = form_urlencoded::parse(form).find(|(name, _)| name == "d");
    read_messages(field.ok_or(PayloadError::Missing)?.1.as_bytes())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test says by it that something is there")]
mod tests {
    use bolero::check;
    use proptest::prelude::*;

    use super::*;

    const SCRIPT: Wrapping = Wrapping::Script;

    fn jsonp() -> Wrapping {
        Wrapping::Jsonp(Callback::parse("_jp.a1").unwrap())
    }

    /// The argument of the call in a frame that is a script.
    fn argument<'a>(script: &'a str, before: &str, after: &str) -> &'a str {
        script.strip_prefix(before).unwrap().strip_suffix(after).unwrap()
    }

    proptest! {
        #[test]
        fn messages_come_out_as_they_went_in_by_every_transport(messages in proptest::collection::vec(any::<String>(), 0..5)) {
            let frame = Frame::Messages(messages.clone());
            let text = frame.text();
            prop_assert_eq!(&read_messages(text.strip_prefix('a').unwrap().as_bytes()).unwrap(), &messages);
            prop_assert!(text.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{}", text);
            let unquote = |quoted: &str| serde_json::from_str::<String>(quoted).unwrap();
            let html = frame.wrap(&SCRIPT);
            prop_assert_eq!(html.matches('<').count(), 2);
            prop_assert_eq!(&unquote(argument(&html, "<script>\np(", ");\n</script>\r\n")), &text);
            let call = frame.wrap(&jsonp());
            prop_assert_eq!(&unquote(argument(&call, "/**/_jp.a1(", ");\r\n")), &text);
            prop_assert_eq!(frame.wrap(&Wrapping::Event), format!("data: {text}\r\n\r\n"));
            prop_assert_eq!(frame.wrap(&Wrapping::Line), format!("{text}\n"));
            prop_assert_eq!(frame.wrap(&Wrapping::Socket), text);
        }

        #[test]
        fn what_a_client_sends_is_read_as_it_was_meant(messages in proptest::collection::vec(any::<String>(), 0..5)) {
            let payload = serde_json::to_string(&messages).unwrap();
            let form: String = form_urlencoded::Serializer::new(String::new()).append_pair("d", &payload).finish();
            prop_assert_eq!(read_messages(payload.as_bytes()), Ok(messages.clone()));
            prop_assert_eq!(read_form_messages(form.as_bytes()), Ok(messages.clone()));
            prop_assert_eq!(read_socket_messages(&payload), Ok(messages.clone()));
            for message in messages {
                let alone = serde_json::to_string(&message).unwrap();
                prop_assert_eq!(read_socket_messages(&alone), Ok(vec![message]));
            }
        }
    }

    /// The very bytes, as the protocol's own text has them.
    #[test]
    fn frames_look_as_the_protocol_says() {
        for (frame, text) in [
            (Frame::Open, "o"),
            (Frame::HeartBeat, "h"),
            (
                Frame::Messages(vec!["a\"\n".into(), "支".into()]),
                r#"a["a\"\n","\u652f"]"#,
            ),
            (Frame::Close(Close::GoAway), r#"c[3000,"Go away!"]"#),
            (
                Frame::Close(Close::AnotherConnection),
                r#"c[2010,"Another connection still open"]"#,
            ),
            (Frame::Close(Close::Interrupted), r#"c[1002,"Connection interrupted"]"#),
        ] {
            assert_eq!(frame.text(), text);
        }
        let message = Frame::Messages(vec!["</script>".into()]);
        assert_eq!(
            message.wrap(&jsonp()),
            "/**/_jp.a1(\"a[\\\"\\\\u003c/script\\\\u003e\\\"]\");\r\n"
        );
    }

    #[test]
    fn what_is_no_list_of_strings_is_broken() {
        for payload in ["{", "[", "[1]", "{}", "\"a\"", "[\"a\"]x", "[\"\\ud800\"]", " "] {
            assert_eq!(
                read_messages(payload.as_bytes()),
                Err(PayloadError::NotJson),
                "{payload}"
            );
        }
        assert_eq!(read_messages(b""), Err(PayloadError::Missing));
        assert_eq!(read_messages(b"[\"\xff\"]"), Err(PayloadError::NotJson));
        for form in ["", "x=1", "d", "d="] {
            assert_eq!(
                read_form_messages(form.as_bytes()),
                Err(PayloadError::Missing),
                "{form}"
            );
        }
        assert_eq!(read_socket_messages(""), Ok(vec![]));
        assert_eq!(read_socket_messages("\"a"), Err(PayloadError::NotJson));
    }

    #[test]
    fn junk_never_panics() {
        check!().for_each(|bytes: &[u8]| {
            let text = String::from_utf8_lossy(bytes);
            let _ = (
                read_messages(bytes),
                read_form_messages(bytes),
                read_socket_messages(&text),
            );
            if let Some(callback) = Callback::parse(&text) {
                assert!(
                    !callback
                        .as_str()
                        .contains(['(', ')', '<', '"', '\'', ';', '/', '*', '\n', ' '])
                );
            }
        });
    }

    #[test]
    fn a_callback_is_a_name_and_nothing_else() {
        for name in ["_jp.abc123", "callback", "a.b_c", "_", "a1.b2"] {
            assert!(Callback::parse(name).is_some(), "{name}");
        }
        for name in [
            "",
            ".",
            "..",
            "1",
            "a.",
            ".a",
            "a..b",
            "a.1",
            "1a",
            "a(",
            "a;b",
            "<script>",
            "a b",
            "é",
            "a[0]",
            "%63",
            &"a".repeat(65),
        ] {
            assert!(Callback::parse(name).is_none(), "{name}");
        }
    }
}
