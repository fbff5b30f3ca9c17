//! `GET /v1/orders/{id}/status`: the one question, asked far more often than everything else. Polls and long-polls.
//!
//! A poll of a hot order costs a look-up in the hub and headers: no query, no line in the log, no copy of the document.

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, web};

use super::Door;
use super::auth::Opener;
use super::client_address::{network_of, of_request};
use super::conditional::{NoneMatch, highest_version, none_match};
use super::error::ApiError;
use super::limits::{Allowance, Cost};
use super::poll_metrics::PollOutcome;
use super::question::Question;
use super::routes;
use crate::hub::{HotOrder, Snapshot};
use crate::service::now;
use crate::service::wait::{Ending, Until};

const X_POLL_INTERVAL: HeaderName = HeaderName::from_static("x-poll-interval");
const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");
/// A cache may keep the document for its one reader, and must ask before it uses it.
const CACHE_CONTROL: HeaderValue = HeaderValue::from_static("private, no-cache");
const VARY: HeaderValue = HeaderValue::from_static("Authorization, Accept, Prefer");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

#[utoipa::path(
    get,
    path = "/v1/orders/{id}/status",
    tag = "payer",
    operation_id = "getStatus",
    summary = "Has my payment gone through?",
    description = "Polling: send the last ETag as If-None-Match and stop when `final` is true.\n\n\
        Long-polling: add `wait` (or `Prefer: wait`). The request is held if it proves that it is current: If-None-Match names \
        the version, or `since_version` equals it, or `until=final` is asked of an order that isn't. Everything else, and every \
        final order, is answered at once. When the time is up: 304 if If-None-Match matches, else 200 with the unchanged document.",
    security(("client_secret" = []), ("client_secret_in_query" = []), ("api_key" = [])),
    params(
        ("id" = String, Path, description = "The order's id", example = "0197a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b", format = Uuid),
        ("wait" = Option<super::openapi::Seconds>, Query, description = "Seconds to be held at most, 0–55; more counts as 55. Shortened by up to a sixteenth at random"),
        ("since_version" = Option<i64>, Query, description = "The version last seen: held while the order stands at it, for clients whose HTTP stack meddles with 304", minimum = 0),
        ("until" = Option<super::openapi::UntilParameter>, Query, description = "Held until the order is final"),
        ("If-None-Match" = Option<String>, Header, description = "The last ETag, or a list; compared weakly. `*` proves nothing and is answered at once", example = "\"1\""),
        ("Prefer" = Option<String>, Header, description = "`wait=N` (RFC 7240), answered with Preference-Applied", example = "wait=25"),
    ),
    responses(
        (status = 200, description = "The status document", body = crate::domain::document::StatusDocument<'_>,
            headers(("ETag" = String, description = "The version, in quotes"),
                ("X-Poll-Interval" = u32, description = "Seconds until the next poll, set by the server; absent once the order is final"),
                ("RateLimit" = String, description = "What is left of the quota"),
                ("RateLimit-Policy" = String, description = "The quota"),
                ("Preference-Applied" = String, description = "The wait that Prefer asked for, clamped"))),
        (status = 304, description = "Nothing new; same headers, no body"),
        (status = 400, response = super::openapi::BadRequest),
        (status = 401, response = super::openapi::Unauthorized),
        (status = 404, response = super::openapi::NotFound),
        (status = 429, response = super::openapi::TooManyRequests),
        (status = 503, response = super::openapi::Unavailable),
    )
)]
pub async fn get_status(request: HttpRequest, door: web::Data<Door>) -> Result<HttpResponse, ApiError> {
    let answer = answer_question(&request, &door).await;
    door.polls.count(match &answer {
        Ok((_, outcome)) => *outcome,
        Err(ApiError::QuotaExceeded(_)) => PollOutcome::Limited,
        Err(ApiError::Unauthorized { .. } | ApiError::OrderNotFound) => PollOutcome::Denied,
        Err(ApiError::Invalid { .. }) => PollOutcome::Invalid,
        Err(_) => PollOutcome::Failed,
    });
    answer.map(|(response, _)| response)
}

async fn answer_question(request: &HttpRequest, door: &Door) -> Result<(HttpResponse, PollOutcome), ApiError> {
    let id = routes::order_id(request)?;
    let question = Question::read(request.query_string(), request.headers(), door.settings.max_wait)?;
    let (hot, opener) = door.open_order(request, id, question.client_secret.as_deref()).await?;
    let shown = question.since_version.max(highest_version(request.headers()));
    door.service.catch_up(&hot, shown).await?;
    let snapshot = hot.snapshot();
    let matches = none_match(request.headers(), &snapshot.etag);
    let until = what_to_wait_for(&question, matches, &snapshot);
    let cost = if until.is_some() || matches!(matches, NoneMatch::Matches | NoneMatch::Any) {
        Cost::Cheap
    } else {
        Cost::Full
    };
    let allowance = door.check_quota(request, &hot, opener, cost)?;

    let (ending, snapshot) = match until {
        Some(until) => {
            let wait = Duration::from_secs(question.wait.into());
            let (ending, snapshot) = door.service.holds.hold(&hot, until, wait).await;
            (Some(ending), snapshot)
        }
        None => (None, snapshot),
    };
    let unchanged = match none_match(request.headers(), &snapshot.etag) {
        NoneMatch::Matches | NoneMatch::Any => true,
        NoneMatch::Absent | NoneMatch::Differs => false,
    };
    let outcome = outcome_of(ending, unchanged);
    Ok((
        door.write_answer(&snapshot, unchanged, &question, outcome, allowance),
        outcome,
    ))
}

/// What the request is held for; None when it is answered at once. Holding takes proof that the client is current.
fn what_to_wait_for(question: &Question<'_>, matches: NoneMatch, snapshot: &Snapshot) -> Option<Until> {
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

impl Door {
    /// A payer's quota is its own for each order; a merchant's polls count with all else that its key does.
    fn check_quota(
        &self,
        request: &HttpRequest,
        hot: &Arc<HotOrder>,
        opener: Opener,
        cost: Cost,
    ) -> Result<Allowance, ApiError> {
        let allowance = match opener {
            Opener::Payer => {
                let client = network_of(of_request(request, &self.settings.trusted_proxies));
                self.poll_limiter.check((hot.id, client), cost)
            }
            Opener::Merchant(key_id) => self.merchant_limiter.check(key_id, cost),
        };
        allowance.map_err(ApiError::QuotaExceeded)
    }

    fn write_answer(
        &self,
        snapshot: &Snapshot,
        unchanged: bool,
        question: &Question<'_>,
        outcome: PollOutcome,
        allowance: Allowance,
    ) -> HttpResponse {
        let status = if unchanged {
            StatusCode::NOT_MODIFIED
        } else {
            StatusCode::OK
        };
        let body = if unchanged {
            bytes::Bytes::new()
        } else {
            snapshot.body.clone()
        };
        let mut response = HttpResponse::with_body(status, body).map_into_boxed_body();
        let headers = response.headers_mut();
        let etag =
            HeaderValue::from_maybe_shared(snapshot.etag.clone()).expect("quotes and digits make a header value");
        headers.insert(header::ETAG, etag);
        headers.insert(header::CACHE_CONTROL, CACHE_CONTROL);
        headers.insert(header::VARY, VARY);
        if !unchanged {
            headers.insert(header::CONTENT_TYPE, JSON);
        }
        if !snapshot.is_final {
            let degraded = outcome == PollOutcome::Degraded;
            headers.insert(X_POLL_INTERVAL, self.pace.header(snapshot.created_at, now(), degraded));
        }
        if question.preferred {
            let applied = HeaderValue::try_from(format!("wait={}", question.wait))
                .expect("a word and digits make a header value");
            headers.insert(PREFERENCE_APPLIED, applied);
        }
        allowance.write_to(headers);
        if !unchanged && let Some(latency) = snapshot.pay_to_seen(now) {
            self.polls.record_pay_to_seen(latency);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::order::{Order, Version};
    use crate::domain::status::Status;

    #[test]
    fn only_what_proves_that_it_is_current_is_held() {
        let open = |version| snapshot(version, Status::Pending);
        let ask = |since: Option<i64>, until_final, wait| Question {
            since_version: since.map(Version),
            until_final,
            wait,
            ..Question::default()
        };
        let moved = Some(Until::MovedFrom(Version(3)));
        let cases = [
            (ask(None, false, 25), NoneMatch::Absent, None),
            (ask(None, false, 25), NoneMatch::Differs, None),
            (ask(None, false, 25), NoneMatch::Any, None),
            (ask(None, false, 25), NoneMatch::Matches, moved),
            (ask(None, false, 0), NoneMatch::Matches, None),
            (ask(Some(3), false, 25), NoneMatch::Absent, moved),
            (ask(Some(2), false, 25), NoneMatch::Absent, None),
            (ask(Some(4), false, 25), NoneMatch::Absent, None),
            (ask(Some(2), false, 25), NoneMatch::Matches, moved),
            (ask(None, true, 25), NoneMatch::Absent, Some(Until::Final)),
            (ask(None, true, 25), NoneMatch::Differs, Some(Until::Final)),
            (ask(Some(3), true, 25), NoneMatch::Matches, Some(Until::Final)),
            (ask(None, true, 0), NoneMatch::Absent, None),
            (ask(Some(3), true, 25), NoneMatch::Any, None),
        ];
        for (question, matches, expected) in cases {
            assert_eq!(
                what_to_wait_for(&question, matches, &open(3)),
                expected,
                "{question:?} {matches:?}"
            );
        }
        let paid = snapshot(3, Status::Succeeded);
        for question in [ask(Some(3), false, 25), ask(None, true, 25)] {
            assert_eq!(
                what_to_wait_for(&question, NoneMatch::Matches, &paid),
                None,
                "a final order is never held"
            );
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
