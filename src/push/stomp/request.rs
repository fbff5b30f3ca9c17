//! What a client's frame asks for. Pure: a frame in, a request or a complaint out.

use std::borrow::Cow;

use super::Version;
use super::frame::Frame;
use super::heart_beat::Offer;
use crate::domain::order;

/// The longest name that a client may give to a subscription, a transaction or a receipt, in bytes.
const MAX_NAME: usize = 256;
/// Where an order's documents are told, but for its id.
const TOPIC: &str = "/topic/orders.";
/// Where they are asked for, but for the order's id.
const APPLICATION: &str = "/app/orders.";

/// See the module's head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    Connect(Connect),
    Subscribe(Subscribe),
    Unsubscribe(Name),
    /// "Send it to me now."
    Tell(Target),
    Begin(String),
    Commit(String),
    Abort(String),
    /// ACK or NACK, in that transaction or in none. Nothing depends on it: the next document tells all that one before it told.
    Acknowledge(Option<String>),
    Disconnect,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connect {
    pub version: Version,
    pub heart_beat: Offer,
    pub credentials: Option<Token>,
    /// The order that the client secret is for; with it a wrong secret is refused right away.
    pub order_id: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscribe {
    pub name: Name,
    pub destination: String,
    pub order_id: String,
    pub kind: Kind,
    pub ack: Ack,
    /// Instead of what was sent with CONNECT: each order has a client secret of its own.
    pub credentials: Option<Token>,
    /// The version that the client has: it is not told that one again.
    pub shown: Option<order::Version>,
}

/// What a subscription is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The document, and each later one.
    Follow,
    /// The document, once; and again when it is asked for.
    Once,
}

/// Under what a client knows a subscription: its id, or in STOMP 1.0 its destination, too.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Name {
    Id(String),
    Destination(String),
}

/// Which order is to be told now; in a transaction, when that is committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    pub order_id: String,
    pub transaction: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ack {
    Auto,
    Client,
}

/// A client secret or an API key. Never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(pub String);

/// What is wrong with a frame: which part of it, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complaint {
    pub part: &'static str,
    pub reason: Cow<'static, str>,
}

impl Complaint {
    pub fn new(part: &'static str, reason: impl Into<Cow<'static, str>>) -> Self {
        Self {
            part,
            reason: reason.into(),
        }
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token")
    }
}

impl Request {
    /// Reads a frame of a client that speaks that version.
    pub fn read(frame: &Frame, version: Version) -> Result<Self, Complaint> {
        match &*frame.command {
            "CONNECT" | "STOMP" => Connect::read(frame).map(Self::Connect),
            "SUBSCRIBE" => Subscribe::read(frame, version).map(Self::Subscribe),
            "UNSUBSCRIBE" => name(frame, version).map(Self::Unsubscribe),
            "SEND" => read_target(frame).map(Self::Tell),
            "BEGIN" => transaction(frame).map(Self::Begin),
            "COMMIT" => transaction(frame).map(Self::Commit),
            "ABORT" => transaction(frame).map(Self::Abort),
            "ACK" => acknowledgement(frame, version).map(Self::Acknowledge),
            "NACK" if version > Version::V10 => acknowledgement(frame, version).map(Self::Acknowledge),
            "DISCONNECT" => Ok(Self::Disconnect),
            _ => Err(Complaint::new(
                "command",
                "must be one that STOMP's clients send: CONNECT, SUBSCRIBE, UNSUBSCRIBE, SEND, ACK, NACK, BEGIN, COMMIT, ABORT, DISCONNECT",
            )),
        }
    }
}

/// The receipt that the client wants for its frame.
pub fn receipt(frame: &Frame) -> Result<Option<String>, Complaint> {
    short(frame, "receipt")
}

impl Connect {
    fn read(frame: &Frame) -> Result<Self, Complaint> {
        let accepted = frame.header("accept-version");
        let version = Version::negotiate(accepted)
            .ok_or_else(|| Complaint::new(ACCEPT_VERSION, "must name one of the versions 1.0, 1.1 and 1.2"))?;
        let heart_beat = Offer::parse(frame.header("heart-beat"))
            .ok_or_else(|| Complaint::new("heart-beat", "must be two numbers of milliseconds, such as 10000,10000"))?;
        Ok(Self {
            version,
            heart_beat,
            credentials: credentials(frame)?,
            order_id: short(frame, "order-id")?,
        })
    }
}

/// The part that a complaint about versions names.
pub const ACCEPT_VERSION: &str = "accept-version";

impl Subscribe {
    fn read(frame: &Frame, version: Version) -> Result<Self, Complaint> {
        let destination = destination(frame)?;
        let (order_id, kind) = if let Some(id) = destination.strip_prefix(TOPIC) {
            (id, Kind::Follow)
        } else if let Some(id) = destination.strip_prefix(APPLICATION) {
            (id, Kind::Once)
        } else {
            return Err(Complaint::new(
                "destination",
                "must be /topic/orders.{id}: nothing else is told here",
            ));
        };
        let ack = match frame.header("ack") {
            None | Some("auto") => Ack::Auto,
            Some("client" | "client-individual") => Ack::Client,
            Some(_) => return Err(Complaint::new("ack", "must be auto, client or client-individual")),
        };
        let shown = frame.header("version").map(|text| text.trim().parse::<i64>());
        let shown = shown.transpose().ok().map(|shown| shown.map(order::Version));
        Ok(Self {
            name: name(frame, version)?,
            order_id: order_id.to_owned(),
            destination: destination.to_owned(),
            kind,
            ack,
            credentials: credentials(frame)?,
            shown: shown.ok_or_else(|| Complaint::new("version", "must be the version of the order that you have"))?,
        })
    }
}

fn read_target(frame: &Frame) -> Result<Target, Complaint> {
    let order_id = destination(frame)?.strip_prefix(APPLICATION);
    let order_id = order_id.ok_or_else(|| {
        Complaint::new(
            "destination",
            "must be /app/orders.{id}: statuses are reported by the REST API only",
        )
    })?;
    Ok(Target {
        order_id: order_id.to_owned(),
        transaction: short(frame, "transaction")?,
    })
}

/// The token of a frame, in whichever header its client puts it. Frameworks differ in which they offer.
fn credentials(frame: &Frame) -> Result<Option<Token>, Complaint> {
    let bearer = |value: &str| {
        let (scheme, token) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().to_owned())
    };
    let value = |name| frame.header(name).filter(|value| !value.is_empty());
    if let Some(token) = value("client-secret").or(value("api-key")) {
        return Ok(Some(Token(token.to_owned())));
    }
    if let Some(authorization) = value("authorization").or(value("Authorization")) {
        let token = bearer(authorization);
        return token
            .map(|token| Some(Token(token)))
            .ok_or_else(|| Complaint::new("authorization", "must be Bearer and an API key or a client secret"));
    }
    Ok(value("passcode").map(|token| Token(token.to_owned())))
}

fn name(frame: &Frame, version: Version) -> Result<Name, Complaint> {
    match (short(frame, "id")?, version) {
        (Some(id), _) => Ok(Name::Id(id)),
        (None, Version::V10) => destination(frame).map(|destination| Name::Destination(destination.to_owned())),
        (None, _) => Err(Complaint::new("id", "must be there: it names the subscription")),
    }
}

fn destination(frame: &Frame) -> Result<&str, Complaint> {
    let destination = frame.header("destination").filter(|text| text.len() <= MAX_NAME);
    destination.ok_or_else(|| Complaint::new("destination", "must be there, such as /topic/orders.{id}"))
}

fn transaction(frame: &Frame) -> Result<String, Complaint> {
    short(frame, "transaction")?.ok_or_else(|| Complaint::new("transaction", "must be there: it names the transaction"))
}

/// The transaction of an ACK or NACK that says what it is about, in the headers that its version has for that.
fn acknowledgement(frame: &Frame, version: Version) -> Result<Option<String>, Complaint> {
    const MUST_NAME: &str = "must be there: it names the message";
    let due: &[&'static str] = match version {
        Version::V10 => &["message-id"],
        Version::V11 => &["message-id", "subscription"],
        Version::V12 => &["id"],
    };
    if let Some(missing) = due.iter().find(|name| frame.header(name).is_none()) {
        return Err(Complaint::new(missing, MUST_NAME));
    }
    short(frame, "transaction")
}

/// A header that is kept for a while.
fn short(frame: &Frame, name: &'static str) -> Result<Option<String>, Complaint> {
    match frame.header(name) {
        Some(value) if value.len() > MAX_NAME => {
            Err(Complaint::new(name, format!("may have {MAX_NAME} bytes at most")))
        }
        value => Ok(value.map(str::to_owned)),
    }
}
