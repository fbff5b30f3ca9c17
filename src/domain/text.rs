//! Short texts that strangers send: each kind a type of its own, checked once.

use std::fmt;

use serde::Serialize;

/// Why a text was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    #[error("must not be empty")]
    Empty,
    #[error("must be at most {max} characters, has {len}")]
    TooLong { max: usize, len: usize },
    #[error("must not contain control characters")]
    Control,
    #[error("must be visible ASCII characters without spaces")]
    NotVisibleAscii,
    #[error("must not begin or end with a space")]
    Padded,
}

/// Free text of 1 to `MAX` characters without control characters: fit for a log line, a terminal and a Postgres `text` (which cannot hold U+0000).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct FreeText<const MAX: usize>(String);

impl<const MAX: usize> FreeText<MAX> {
    pub fn parse(text: impl Into<String>) -> Result<Self, TextError> {
        let text = text.into();
        check_length(&text, MAX)?;
        if text.chars().any(char::is_control) {
            return Err(TextError::Control);
        }
        Ok(Self(text))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<const MAX: usize> fmt::Display for FreeText<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What the payer sees as the subject of the payment.
pub type Description = FreeText<256>;
/// Why an order has its status, in the merchant's or the service's words (`expired`).
pub type Reason = FreeText<256>;

/// A merchant's name, as the operator typed it: free text of 1 to 64 characters, without white space at either end, which nobody would see in a list.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct MerchantName(FreeText<64>);

impl MerchantName {
    pub fn parse(text: impl Into<String>) -> Result<Self, TextError> {
        let text = FreeText::parse(text)?;
        if text.as_str().trim() != text.as_str() {
            return Err(TextError::Padded);
        }
        Ok(Self(text))
    }

    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl fmt::Display for MerchantName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A name made of visible ASCII, 1 to `MAX` characters: it travels in URLs, headers and file names of other systems.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct AsciiName<const MAX: usize>(String);

impl<const MAX: usize> AsciiName<MAX> {
    pub fn parse(text: impl Into<String>) -> Result<Self, TextError> {
        let text = text.into();
        check_length(&text, MAX)?;
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(TextError::NotVisibleAscii);
        }
        Ok(Self(text))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<const MAX: usize> fmt::Display for AsciiName<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The merchant's own number of an order. 64 is the longest that the big providers take (Alipay; WeChat Pay takes 32).
pub type OutTradeNo = AsciiName<64>;
/// The provider's number of a payment.
pub type TransactionId = AsciiName<128>;

fn check_length(text: &str, max: usize) -> Result<(), TextError> {
    let len = text.chars().count();
    if len == 0 {
        return Err(TextError::Empty);
    }
    if len > max {
        return Err(TextError::TooLong { max, len });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_out_trade_no_is_one_to_64_visible_ascii_characters() {
        assert!(OutTradeNo::parse("A").is_ok());
        assert!(OutTradeNo::parse("x".repeat(64)).is_ok());
        assert_eq!(OutTradeNo::parse(""), Err(TextError::Empty));
        assert_eq!(
            OutTradeNo::parse("x".repeat(65)),
            Err(TextError::TooLong { max: 64, len: 65 })
        );
        for text in ["a b", "订单", "a\n", "\u{0}"] {
            assert_eq!(OutTradeNo::parse(text), Err(TextError::NotVisibleAscii), "{text:?}");
        }
    }

    #[test]
    fn a_merchants_name_has_no_white_space_at_its_ends() {
        assert!(MerchantName::parse("咖啡 shop").is_ok());
        assert_eq!(MerchantName::parse(""), Err(TextError::Empty));
        assert_eq!(MerchantName::parse("a\tb"), Err(TextError::Control));
        for text in [" ", "demo ", " demo", "\u{3000}demo"] {
            assert_eq!(MerchantName::parse(text), Err(TextError::Padded), "{text:?}");
        }
    }

    #[test]
    fn free_text_counts_characters_not_bytes_and_holds_no_control_characters() {
        assert!(Description::parse("咖".repeat(256)).is_ok());
        assert_eq!(
            Description::parse("咖".repeat(257)),
            Err(TextError::TooLong { max: 256, len: 257 })
        );
        for text in ["a\u{0}b", "a\nb", "\u{1b}[31m", "a\u{85}b"] {
            assert_eq!(Description::parse(text), Err(TextError::Control), "{text:?}");
        }
    }
}
