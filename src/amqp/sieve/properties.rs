//! The properties of a message: whether the AMQP library can read them, and at a bearable price.
//!
//! A short text must be UTF-8 for it; tables must have an end, types that it knows, and not be nested as deep as it would go.

/// Tables and arrays in one another; the headers are the first. (The library has a call of its own for each, and ends the
/// process when it has no more room for them, from some hundreds on.) Whatever goes through values after the sieve, as
/// `intake::dead_letter` does, goes no deeper.
const DEEPEST: u32 = 16;
/// Values in the headers, those in tables and arrays included. (One takes a byte in a frame, and 40 and more in memory.)
const MOST_VALUES: u32 = 2000;

#[derive(Debug, Clone, Copy)]
enum Kind {
    /// A short one, which the library wants in UTF-8.
    Text,
    Table,
    Bytes(usize),
}

/// In their order, the first with the highest flag (AMQP 0-9-1, class basic).
const PROPERTIES: [Kind; 14] = [
    Kind::Text,     // content-type
    Kind::Text,     // content-encoding
    Kind::Table,    // headers
    Kind::Bytes(1), // delivery-mode
    Kind::Bytes(1), // priority
    Kind::Text,     // correlation-id
    Kind::Text,     // reply-to
    Kind::Text,     // expiration
    Kind::Text,     // message-id
    Kind::Bytes(8), // timestamp
    Kind::Text,     // type
    Kind::Text,     // user-id
    Kind::Text,     // app-id
    Kind::Text,     // cluster-id
];
/// More flags would follow, and one that stands for nothing. No class has as many properties.
const FLAGS_WITHOUT_PROPERTY: u16 = 0b11;

/// Of a content header, what follows the body's size: flags and values.
pub(super) fn are_readable(bytes: &[u8]) -> bool {
    check(bytes).is_some()
}

fn check(bytes: &[u8]) -> Option<()> {
    let mut rest = Rest(bytes);
    let flags = u16::from_be_bytes(rest.array()?);
    if flags & FLAGS_WITHOUT_PROPERTY != 0 {
        return None;
    }
    let mut values_left = MOST_VALUES;
    for (place, kind) in PROPERTIES.into_iter().enumerate() {
        if flags & (1 << (15 - place)) == 0 {
            continue;
        }
        match kind {
            Kind::Text => rest.text()?,
            Kind::Table => rest.table(DEEPEST - 1, &mut values_left)?,
            Kind::Bytes(count) => drop(rest.take(count)?),
        }
    }
    rest.0.is_empty().then_some(())
}

/// What is not looked at yet. Everything here is None when it is not what it should be.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    /// As many bytes as the length before them says.
    fn long(&mut self) -> Option<&'a [u8]> {
        let length = u32::from_be_bytes(self.array()?);
        self.take(length.try_into().ok()?)
    }

    fn text(&mut self) -> Option<()> {
        let [length] = self.array()?;
        std::str::from_utf8(self.take(length.into())?).ok().map(drop)
    }

    fn table(&mut self, levels_left: u32, values_left: &mut u32) -> Option<()> {
        let mut members = Rest(self.long()?);
        while !members.0.is_empty() {
            members.text()?;
            members.value(levels_left, values_left)?;
        }
        Some(())
    }

    fn array_of_values(&mut self, levels_left: u32, values_left: &mut u32) -> Option<()> {
        let mut values = Rest(self.long()?);
        while !values.0.is_empty() {
            values.value(levels_left, values_left)?;
        }
        Some(())
    }

    /// Of a type that the library knows (RabbitMQ's list, and `U`).
    fn value(&mut self, levels_left: u32, values_left: &mut u32) -> Option<()> {
        *values_left = values_left.checked_sub(1)?;
        let [kind] = self.array()?;
        match kind {
            b'V' => Some(()),
            b't' | b'b' | b'B' => self.take(1).map(drop),
            b's' | b'u' | b'U' => self.take(2).map(drop),
            b'I' | b'i' | b'f' => self.take(4).map(drop),
            b'D' => self.take(5).map(drop),
            b'L' | b'l' | b'd' | b'T' => self.take(8).map(drop),
            b'S' | b'x' => self.long().map(drop),
            b'F' => self.table(levels_left.checked_sub(1)?, values_left),
            b'A' => self.array_of_values(levels_left.checked_sub(1)?, values_left),
            _ => None,
        }
    }
}
