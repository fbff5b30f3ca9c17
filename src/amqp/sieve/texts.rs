//! The texts in a method: the AMQP library ends the connection where one is not UTF-8.
//!
//! Somebody else's words stand in few methods: exchange and routing key of what is delivered or comes back; names, perhaps cut
//! in the middle of a character, in the broker's reasons for closing something. (RabbitMQ takes no such names from those who
//! speak AMQP 0-9-1; there are others who publish.)

use Part::{Bytes, Text};

#[derive(Debug, Clone, Copy)]
enum Part {
    Bytes(usize),
    Text,
}

/// What a method begins with, up to its last text.
fn parts_of(class: u16, method: u16) -> &'static [Part] {
    match (class, method) {
        // The reply code, and why.
        (10, 50) | (20, 40) => &[Bytes(2), Text],
        // basic.return: as well, then exchange and routing key.
        (60, 50) => &[Bytes(2), Text, Text, Text],
        // basic.deliver: the consumer's tag; the delivery's number, and whether it was delivered before; exchange and routing key.
        (60, 60) => &[Text, Bytes(9), Text, Text],
        // basic.get-ok: the same without a consumer.
        (60, 71) => &[Bytes(9), Text, Text],
        _ => &[],
    }
}

/// Makes question marks of each text that is not UTF-8; everything else, and each length, stays.
pub(super) fn mend(payload: &mut [u8]) {
    let Some((&mut [class, class_low, method, method_low], mut rest)) = payload.split_first_chunk_mut() else {
        return;
    };
    let parts = parts_of(
        u16::from_be_bytes([class, class_low]),
        u16::from_be_bytes([method, method_low]),
    );
    for part in parts {
        let length = match part {
            Bytes(count) => *count,
            Text => match rest.split_first_mut() {
                Some((length, behind)) => {
                    rest = behind;
                    usize::from(*length)
                }
                None => return,
            },
        };
        let Some((this, behind)) = rest.split_at_mut_checked(length) else {
            return;
        };
        if matches!(part, Text) && std::str::from_utf8(this).is_err() {
            this.fill(b'?');
        }
        rest = behind;
    }
}
