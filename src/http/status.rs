//! `GET /v1/orders/{id}/status`: the one question, asked far more often than everything else. Polls and long-polls.
//!
//! A poll of a hot order costs a look-up in the hub and headers: no query, no line in the log, no copy of the document.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use smallvec::SmallVec;

use super::Door;
use super::accept::prefers_events;
use super::auth::{MISSING_CREDENTIALS, Opened, Opener, bearer_token};
use super::client_address::{client_address, network_of};
use super::conditional::NoneMatch;
use super::error::ApiError;
use super::fields::Fields;
use super::limits::{Allowance, Cost};
use super::poll_metrics::PollOutcome;
use super::question::Question;
use crate::domain::api_key;
use crate::domain::order::OrderId;
use crate::hub::{HotOrder, Snapshot};
use crate::push::{Streams, sse};
use crate::service::now;
use crate::service::wait::{Ending, Until};

static X_POLL_INTERVAL: HeaderName = HeaderName::from_static("x-poll-interval");
static PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");
/// A cache may keep the document for its one reader, and must ask before it uses it.
const CACHE_CONTROL: &[u8] = b"private, no-cache";

#[utoipa::path(
    get,
    path = "/v1/orders/{id}/status",
    tag = "payer",
    operation_id = "getStatus",
    summary = "Has my payment gone through?",
    description = "Polling: send the last ETag as If-None-Match and stop when `final` is true.\n\n\
        Long-polling: add `wait` (or `Prefer: wait`). The request is held if it proves that it is current: If-None-Match names \
        the version, or `since_version` equals it, or `until=final` is asked of an order that isn't. Everything else, and every \
        final order, is answered at once. When the time is up: 304 if If-None-Match matches, else 200 with the unchanged document.\n\n\
        Server-sent events: with `Accept: text/event-stream` the answer is a stream, the document first, then each change with \
        the version as its id, until the order is final. `Last-Event-ID` resumes; whoever has the final version gets 204.",
    security(("client_secret" = []), ("client_secret_in_query" = []), ("api_key" = [])),
    params(
        ("id" = String, Path, description = "The order's id", example = "0197a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b", format = Uuid),
        ("wait" = Option<super::openapi::Seconds>, Query, description = "Seconds to be held at most, 0–55; more counts as 55. Shortened by up to a sixteenth at random"),
        ("since_version" = Option<i64>, Query, description = "The version last seen: held while the order stands at it, for clients whose HTTP stack meddles with 304", minimum = 0),
        ("until" = Option<super::openapi::UntilParameter>, Query, description = "Held until the order is final"),
        ("last_event_id" = Option<i64>, Query, description = "For a stream whose client cannot set Last-Event-ID: the version last seen", minimum = 0),
        ("Last-Event-ID" = Option<String>, Header, description = "The id of the last event, sent by EventSource when it comes back: the version last seen", example = "1"),
        ("If-None-Match" = Option<String>, Header, description = "The last ETag, or a list; compared weakly. `*` proves nothing and is answered at once", example = "\"1\""),
        ("Prefer" = Option<String>, Header, description = "`wait=N` (RFC 7240), answered with Preference-Applied", example = "wait=25"),
    ),
    responses(
        (status = 200, description = "The status document, or a stream of events of which each has it as its data",
            content((crate::domain::document::StatusDocument<'_> = "application/json"), (String = "text/event-stream")),
            headers(("ETag" = String, description = "The version, in quotes"),
                ("X-Poll-Interval" = u32, description = "Seconds until the next poll, set by the server; absent once the order is final"),
                ("RateLimit" = String, description = "What is left of the quota"),
                ("RateLimit-Policy" = String, description = "The quota"),
                ("Preference-Applied" = String, description = "The wait that Prefer asked for, clamped"))),
        (status = 204, description = "To a stream's client that has the final version: EventSource then stops coming back"),
        (status = 304, description = "Nothing new; same headers, no body"),
        (status = 400, response = super::openapi::BadRequest),
        (status = 401, response = super::openapi::Unauthorized),
        (status = 404, response = super::openapi::NotFound),
        (status = 429, response = super::openapi::TooManyRequests),
        (status = 503, response = super::openapi::Unavailable),
    )
)]
pub async fn get_status(
    request: HttpRequest,
    door: web::Data<Door>,
    streams: web::Data<Streams>,
) -> Result<HttpResponse, ApiError> {
    let head = Head {
        id: request.match_info().get("id").unwrap_or_default(),
        query: request.query_string(),
        fields: request.headers(),
        peer: request.peer_addr(),
    };
    if request.method() == Method::GET && prefers_events(request.headers()) {
        return stream_status(&door, &streams, &head).await;
    }
    let opening = door.open_status(&head).await?;
    let answer = door.settle(opening).await;
    let mut response = HttpResponse::with_body(answer.code(), answer.body()).map_into_boxed_body();
    answer.write_fields(&door, |name, value| {
        let value = HeaderValue::from_bytes(value).expect("we write header values only");
        response.headers_mut().insert(name.clone(), value);
    });
    Ok(response)
}

/// The same as a stream of events.
async fn stream_status(
    door: &Door,
    streams: &Arc<Streams>,
    head: &Head<'_, HeaderMap>,
) -> Result<HttpResponse, ApiError> {
    let Opening { hot, question, charge } = door.counted(door.try_open(head, |_, _| Cost::Full).await)?;
    door.polls.count(PollOutcome::Streamed);
    let shown = question.last_event_id.or(question.since_version);
    let api_key = bearer_token(head.fields)?.filter(|token| token.starts_with(api_key::PREFIX));
    let mut response = sse::answer(streams, &hot, shown, api_key);
    let (name, value) = sse::cache_control();
    response.headers_mut().insert(name, value);
    let mut field = |name: &HeaderName, value: &[u8]| {
        let value = HeaderValue::from_bytes(value).expect("we write header values only");
        response.headers_mut().insert(name.clone(), value);
    };
    field(&header::VARY, door.settings.cors_origins.vary());
    door.write_charge(charge, field);
    Ok(response)
}

/// The parts of a request that say what is asked of whom and by whom, wherever they stand.
#[derive(Debug)]
pub(super) struct Head<'a, F: ?Sized> {
    /// The order's id as it stands in the path.
    pub(super) id: &'a str,
    pub(super) query: &'a str,
    pub(super) fields: &'a F,
    pub(super) peer: Option<SocketAddr>,
}

/// A question that was let in: the order is open and the quota charged. Borrows nothing, so that it can be held.
#[derive(Debug)]
pub(super) struct Opening {
    hot: Arc<HotOrder>,
    question: Question,
    charge: Charge,
}

/// Whose quota was charged, and what is left of it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Charge {
    Payer(Allowance),
    Merchant(Allowance),
}

/// An answer, except for what belongs to the connection that it goes out on.
#[derive(Debug)]
pub(super) struct StatusAnswer {
    snapshot: Arc<Snapshot>,
    unchanged: bool,
    /// `X-Poll-Interval`, in seconds.
    interval: Option<u32>,
    /// `Preference-Applied`, in seconds.
    applied_wait: Option<u32>,
    charge: Charge,
}

impl Door {
    /// Lets a question in, or says why not. Waits for nothing if the order is hot and the client is not ahead of us.
    pub(super) async fn open_status<F: Fields + ?Sized>(&self, head: &Head<'_, F>) -> Result<Opening, ApiError> {
        self.counted(self.try_open(head, cost_of).await)
    }

    /// Counts what was not let in.
    fn counted(&self, opening: Result<Opening, ApiError>) -> Result<Opening, ApiError> {
        if let Err(error) = &opening {
            self.polls.count(match error {
                ApiError::QuotaExceeded(_) => PollOutcome::Limited,
                ApiError::Unauthorized { .. } | ApiError::OrderNotFound => PollOutcome::Denied,
                ApiError::Invalid { .. } => PollOutcome::Invalid,
                _ => PollOutcome::Failed,
            });
        }
        opening
    }

    async fn try_open<F: Fields + ?Sized>(
        &self,
        head: &Head<'_, F>,
        cost_of: impl Fn(&Question, &Snapshot) -> Cost,
    ) -> Result<Opening, ApiError> {
        let id = OrderId::parse(head.id).map_err(|error| ApiError::invalid("id", error))?;
        let (question, secret) = Question::read(head.query, head.fields, self.settings.max_wait)?;
        let client = client_address(head.peer, head.fields, &self.settings.trusted_proxies);
        let client = network_of(client);
        let token = bearer_token(head.fields)?.or(secret.as_deref());
        let Opened { hot, opener } = self.open_order(id, token.ok_or(MISSING_CREDENTIALS)?, client).await?;
        // Before anything is read again: whoever shows versions that never were shall not load the database past the quota.
        let charge = self.charge(opener, id, client, cost_of(&question, &hot.snapshot()))?;
        self.service.catch_up(&hot, question.shown()).await?;
        Ok(Opening { hot, question, charge })
    }

    /// A payer's quota is its own for each order; a merchant's polls count with all else that its key does.
    pub(super) fn charge(&self, opener: Opener, id: OrderId, client: IpAddr, cost: Cost) -> Result<Charge, ApiError> {
        match opener {
            Opener::Payer => self.poll_limiter.check((id, client), cost).map(Charge::Payer),
            Opener::Merchant(key_id) => self.merchant_limiter.check(key_id, cost).map(Charge::Merchant),
            Opener::Charged(allowance) => Ok(Charge::Merchant(allowance)),
        }
        .map_err(ApiError::QuotaExceeded)
    }

    fn write_charge(&self, charge: Charge, field: impl FnMut(&HeaderName, &[u8])) {
        match charge {
            Charge::Payer(allowance) => self.poll_limiter.write(allowance, field),
            Charge::Merchant(allowance) => self.merchant_limiter.write(allowance, field),
        }
    }

    /// Answers a question: at once, or when what it waits for has come or its time is up.
    pub(super) async fn settle(&self, opening: Opening) -> StatusAnswer {
        let Opening { hot, question, charge } = opening;
        let snapshot = hot.snapshot();
        let until = what_to_wait_for(&question, &snapshot);
        let (ending, snapshot) = match until {
            Some(until) => {
                let wait = Duration::from_secs(question.wait.into());
                let (ending, snapshot) = self.service.holds.hold(&hot, until, wait).await;
                (Some(ending), snapshot)
            }
            None => (None, snapshot),
        };
        let unchanged = matches!(
            question.known.compare(snapshot.version),
            NoneMatch::Matches | NoneMatch::Any
        );
        let outcome = outcome_of(ending, unchanged);
        self.polls.count(outcome);
        if !unchanged && let Some(latency) = snapshot.pay_to_seen(now) {
            self.polls.record_pay_to_seen(latency);
        }
        let degraded = outcome == PollOutcome::Degraded;
        let interval = (!snapshot.is_final).then(|| self.pace.seconds(snapshot.created_at, now(), degraded));
        StatusAnswer {
            snapshot,
            unchanged,
            interval,
            applied_wait: question.preferred.then_some(question.wait),
            charge,
        }
    }
}

/// A request that is held, or answered without a body, is cheap.
fn cost_of(question: &Question, snapshot: &Snapshot) -> Cost {
    let matches = question.known.compare(snapshot.version);
    if matches!(matches, NoneMatch::Matches | NoneMatch::Any) || what_to_wait_for(question, snapshot).is_some() {
        Cost::Cheap
    } else {
        Cost::Full
    }
}

/// What the request is held for; None when it is answered at once. Holding takes proof that the client is current.
fn what_to_wait_for(question: &Question, snapshot: &Snapshot) -> Option<Until> {
    let matches = question.known.compare(snapshot.version);
    if question.wait == 0 || snapshot.is_final || matches == NoneMatch::Any {
        return None;
    }
    if question.until_final {
        return Some(Until::Final);
    }
    let current = matches == NoneMatch::Matches || question.since_version == Some(snapshot.version);
    current.then_some(Until::MovedFrom(snapshot.version))
}

fn outcome_of(ending: Option<Ending>, unchanged: bool) -> PollOutcome {
    match ending {
        None if unchanged => PollOutcome::NotModified,
        None => PollOutcome::Full,
        Some(Ending::Woken) => PollOutcome::Woken,
        Some(Ending::TimedOut) => PollOutcome::TimedOut,
        Some(Ending::Degraded) => PollOutcome::Degraded,
        Some(Ending::Drained) => PollOutcome::Drained,
    }
}

impl StatusAnswer {
    pub(super) fn code(&self) -> StatusCode {
        if self.unchanged {
            StatusCode::NOT_MODIFIED
        } else {
            StatusCode::OK
        }
    }

    /// The document; empty when the client has it.
    pub(super) fn body(&self) -> Bytes {
        if self.unchanged {
            Bytes::new()
        } else {
            self.snapshot.body.clone()
        }
    }

    /// The header fields, but for those of the connection and of the body's length.
    pub(super) fn write_fields(&self, door: &Door, mut field: impl FnMut(&HeaderName, &[u8])) {
        let (mut tag, mut digits) = (SmallVec::<[u8; 24]>::new(), itoa::Buffer::new());
        tag.push(b'"');
        tag.extend_from_slice(digits.format(self.snapshot.version.0).as_bytes());
        tag.push(b'"');
        field(&header::ETAG, &tag);
        field(&header::CACHE_CONTROL, CACHE_CONTROL);
        field(&header::VARY, door.settings.cors_origins.vary());
        if !self.unchanged {
            field(&header::CONTENT_TYPE, b"application/json");
        }
        if let Some(seconds) = self.interval {
            field(&X_POLL_INTERVAL, itoa::Buffer::new().format(seconds).as_bytes());
        }
        if let Some(seconds) = self.applied_wait {
            field(&PREFERENCE_APPLIED, format!("wait={seconds}").as_bytes());
        }
        door.write_charge(self.charge, field);
    }
}

#[cfg(test)]
mod tests {
    use smallvec::smallvec;

    use super::*;
    use crate::domain::order::{Order, Version};
    use crate::domain::status::Status;
    use crate::http::conditional::KnownVersions;

    #[test]
    fn only_what_proves_that_it_is_current_is_held() {
        let ask = |since: Option<i64>, until_final, wait| Question {
            wait,
            preferred: false,
            since_version: since.map(Version),
            last_event_id: None,
            until_final,
            known: KnownVersions::Absent,
        };
        let (absent, any) = (KnownVersions::Absent, KnownVersions::Any);
        let these = |version| KnownVersions::These(smallvec![Version(version)]);
        let (matches, differs) = (these(3), these(2));
        let moved = Some(Until::MovedFrom(Version(3)));
        let cases = [
            (ask(None, false, 25), &absent, None),
            (ask(None, false, 25), &differs, None),
            (ask(None, false, 25), &any, None),
            (ask(None, false, 25), &matches, moved),
            (ask(None, false, 0), &matches, None),
            (ask(Some(3), false, 25), &absent, moved),
            (ask(Some(2), false, 25), &absent, None),
            (ask(Some(4), false, 25), &absent, None),
            (ask(Some(2), false, 25), &matches, moved),
            (ask(None, true, 25), &absent, Some(Until::Final)),
            (ask(None, true, 25), &differs, Some(Until::Final)),
            (ask(Some(3), true, 25), &matches, Some(Until::Final)),
            (ask(None, true, 0), &absent, None),
            (ask(Some(3), true, 25), &any, None),
        ];
        let asking = |question: Question, known: &KnownVersions| Question {
            known: known.clone(),
            ..question
        };
        for (question, known, expected) in cases {
            let question = asking(question, known);
            let open = snapshot(3, Status::Pending);
            assert_eq!(what_to_wait_for(&question, &open), expected, "{question:?}");
        }
        let paid = snapshot(3, Status::Succeeded);
        for question in [ask(Some(3), false, 25), ask(None, true, 25)] {
            let question = asking(question, &matches);
            assert_eq!(what_to_wait_for(&question, &paid), None, "a final order is never held");
        }
    }

    fn snapshot(version: i64, status: Status) -> Snapshot {
        Snapshot::stored(&Order {
            version: Version(version),
            status,
            ..Order::sample()
        })
    }
}
