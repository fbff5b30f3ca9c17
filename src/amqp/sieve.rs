//! A sieve in front of the AMQP library: whatever somebody put into a message, the library can read it.
//!
//! The library reads a header's tables without a bound on how deep they are nested, and takes a short text that is not UTF-8
//! for a broken connection. The broker passes both on. So one message would end this process, or stop the taking of messages,
//! and still be the first in its queue after the next start.
//!
//! What stays true in it:
//! - Whatever is well-formed (AMQP 0-9-1, §4.2) passes byte for byte. The properties of a message that are not, or go beyond
//!   the bounds in [`properties`], are left out, and one header says so: it arrives, as a message that proves nobody's
//!   anything. Texts in methods that are not UTF-8 become question marks.
//! - Where the input is split makes no difference. At most one frame is in memory, and none that is larger than was agreed.
//! - What a broker itself must not send (unknown frames, too large ones, ones without an end) is an error: the connection ends.

mod properties;
mod texts;

/// Bytes of a frame, head and end included: what RabbitMQ proposes where nobody says otherwise. No connection of ours agrees to
/// more.
pub const LARGEST_FRAME: u32 = 128 * 1024;

const METHOD: u8 = 1;
const CONTENT_HEADER: u8 = 2;
const BODY: u8 = 3;
const HEARTBEAT: u8 = 8;
/// No frame, but the `AMQP` and four bytes that a broker answers with that has no such version.
const PROTOCOL: u8 = b'A';
const PROTOCOL_LENGTH: usize = 8;

/// Type, channel and size.
const HEAD: usize = 7;
/// What follows the payload of each frame.
const END: u8 = 0xCE;
/// The class, the weight and the body's size: what stands in a content header before the properties.
const BEFORE_PROPERTIES: usize = 12;
/// Properties that hold nothing but the header `payquery-properties-left-out`, true: flags, and a table of 31 bytes.
const LEFT_OUT: &[u8] = b"\x20\x00\x00\x00\x00\x1f\x1cpayquery-properties-left-outt\x01";

/// No AMQP, or none that was agreed upon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadFrame {
    #[error("a frame of the unknown type {0}")]
    Type(u8),
    #[error("a frame of {0} bytes, more than was agreed upon")]
    Size(usize),
    #[error("a frame that does not end where it should")]
    End,
}

/// See the module's head.
#[derive(Debug)]
pub struct Sieve {
    /// No frame has more bytes. (A broker that agreed to that keeps it where it can split something; a message's properties
    /// come in one frame, as large as their sender's may be.)
    largest: usize,
    /// The beginning of a frame that is not let through yet.
    held: Vec<u8>,
    /// So many bytes pass as they are.
    passing: usize,
    /// So many bytes are left out after those.
    dropping: usize,
}

impl Sieve {
    pub fn new(largest: u32) -> Self {
        Self {
            largest: largest as usize,
            held: Vec::new(),
            passing: 0,
            dropping: 0,
        }
    }

    /// Takes what the broker sent; adds to `output` what the library may read of it.
    pub fn pass(&mut self, mut input: &[u8], output: &mut Vec<u8>) -> Result<(), BadFrame> {
        while !input.is_empty() {
            if self.passing > 0 {
                output.extend_from_slice(take(&mut input, &mut self.passing));
            } else if self.dropping > 0 {
                take(&mut input, &mut self.dropping);
            } else {
                let wanted = self.wanted()?;
                let mut missing = wanted - self.held.len();
                self.held.extend_from_slice(take(&mut input, &mut missing));
                if missing == 0 {
                    self.decide(output)?;
                }
            }
        }
        Ok(())
    }

    /// How much of the frame in hand is needed to decide about it (or about what to do next).
    fn wanted(&self) -> Result<usize, BadFrame> {
        let Some(whole) = self.whole() else { return Ok(HEAD) };
        match self.held[0] {
            CONTENT_HEADER if whole > self.largest => Ok(HEAD + BEFORE_PROPERTIES),
            _ if whole > self.largest => Err(BadFrame::Size(whole)),
            _ => Ok(whole),
        }
    }

    /// The length of the frame in hand, when its head is there.
    fn whole(&self) -> Option<usize> {
        let size = self.held.get(3..HEAD)?;
        let size = u32::from_be_bytes(size.try_into().expect("is four bytes"));
        Some(HEAD + size as usize + 1)
    }

    /// As much of the frame as was wanted is there.
    fn decide(&mut self, output: &mut Vec<u8>) -> Result<(), BadFrame> {
        let whole = self.whole().expect("at least a head is wanted");
        match (self.held[0], self.held.len() > HEAD) {
            // (These two are looked at when more of them is there.)
            (METHOD | CONTENT_HEADER, false) => return Ok(()),
            (METHOD, true) => {
                let end = self.held.len() - 1;
                texts::mend(&mut self.held[HEAD..end]);
            }
            (CONTENT_HEADER, true) if whole > self.largest => {
                self.leave_properties_out();
                self.dropping = whole - HEAD - BEFORE_PROPERTIES;
            }
            (CONTENT_HEADER, true) => {
                let properties = self.held.get(HEAD + BEFORE_PROPERTIES..whole - 1);
                if !properties::are_readable(properties.ok_or(BadFrame::End)?) {
                    self.check_end()?;
                    self.leave_properties_out();
                }
            }
            (BODY | HEARTBEAT, _) if whole <= self.largest => self.passing = whole - HEAD,
            (BODY | HEARTBEAT, _) => return Err(BadFrame::Size(whole)),
            (PROTOCOL, _) => self.passing = PROTOCOL_LENGTH - HEAD,
            (unknown, _) => return Err(BadFrame::Type(unknown)),
        }
        if self.passing == 0 {
            self.check_end()?;
        }
        output.append(&mut self.held);
        Ok(())
    }

    /// Makes the frame in hand one of the same message without its properties.
    fn leave_properties_out(&mut self) {
        self.held.truncate(HEAD + BEFORE_PROPERTIES);
        self.held.extend_from_slice(LEFT_OUT);
        let size = u32::try_from(self.held.len() - HEAD).expect("is small");
        self.held[3..HEAD].copy_from_slice(&size.to_be_bytes());
        self.held.push(END);
    }

    fn check_end(&self) -> Result<(), BadFrame> {
        match self.held.last() {
            Some(&END) => Ok(()),
            _ => Err(BadFrame::End),
        }
    }
}

/// Up to so many bytes of the input, which are then counted off both.
fn take<'a>(input: &mut &'a [u8], count: &mut usize) -> &'a [u8] {
    let (taken, rest) = input.split_at(input.len().min(*count));
    *input = rest;
    *count -= taken.len();
    taken
}

#[cfg(test)]
mod tests;
