//! `GET /v1/events`: the merchant's event feed, by pages that are held like a long-poll, or as lines.

mod lines;
mod question;

use std::time::Duration;

use actix_web::http::Method;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, web};
use metrics::{Counter, counter};

use super::Door;
use super::accept::{FeedFormat, feed_format};
use super::auth::{Merchant, WRONG_KEY, bearer_token};
use super::error::ApiError;
use super::wire::FeedPageBody;
use crate::db::event_log::LogError;
use crate::domain::event::EventDocument;
use crate::push::Gate as _;
use crate::service::events::{EventPage, EventReader};
use crate::service::now;
use crate::service::wait::Ending;
use lines::Lines;
use question::FeedQuestion;

/// A cursor is the client's own, and a page is told once: nobody need keep it.
const CACHE_CONTROL: HeaderValue = HeaderValue::from_static("private, no-cache");
static X_POLL_INTERVAL: HeaderName = HeaderName::from_static("x-poll-interval");
static PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");
const VARY: HeaderValue = HeaderValue::from_static("Authorization, Accept, Prefer");
const SERVED: &str = "application/json and application/x-ndjson";

#[utoipa::path(
    get,
    path = "/v1/events",
    tag = "merchant",
    operation_id = "readEvents",
    summary = "The event feed: all that happens to the merchant's orders, in order, nothing skipped",
    description = "Begin without `after` (with the oldest event that is kept) or with `after=now`; then send each `next_cursor` as `after`. \
        Keep the cursor with what you did of the events: then nothing is missed and nothing done twice, whatever crashes. Cursors \
        are good over restarts and on every replica.\n\n\
        With `wait` (or `Prefer: wait`) the request is held while there is nothing new, and answered the moment something comes; \
        when the time is up, with an empty page.\n\n\
        With `Accept: application/x-ndjson` the answer is a stream to the end of what is there, as fast as it is taken: one event \
        a line, each with its own `cursor`; the last line has only `cursor` and `has_more`, and its absence says that the stream \
        broke off. With `wait` it goes on for so long after it has reached the end.\n\n\
        The events of one order come in the order in which they happened. There is no order between orders.",
    security(("api_key" = [])),
    params(
        ("after" = Option<String>, Query, description = "`next_cursor` of the page before, or `cursor` of the last line; `now` for what comes from now on", example = "now"),
        ("wait" = Option<super::openapi::Seconds>, Query, description = "Seconds to be held at most, 0–55; more counts as 55. Shortened by up to a sixteenth at random"),
        ("types" = Option<String>, Query, description = "Only events of these types, between commas", example = "order.succeeded,order.paid_late"),
        ("limit" = Option<u8>, Query, description = "Most events in a page; 50 when it is not given. Of lines: most lines; to the end when it is not given", minimum = 1, maximum = 200),
        ("Prefer" = Option<String>, Header, description = "`wait=N` (RFC 7240), answered with Preference-Applied", example = "wait=25"),
    ),
    responses(
        (status = 200, description = "A page of events, or lines",
            content((FeedPageBody<'_> = "application/json", example = json!({
                    "data": [{
                        "id": "0197a1b2-d4e5-7f60-8a9b-0c1d2e3f4a5b", "type": "order.succeeded",
                        "order_id": "0197a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b", "out_trade_no": "20261120-0001", "version": 2,
                        "from": "pending", "to": "succeeded", "source": "merchant", "accepted": true, "reason": null,
                        "at": "2026-11-20T08:00:01.000Z",
                        "data": { "amount": 1000, "currency": "CNY", "late": false, "paid_at": "2026-11-20T08:00:01.000Z",
                            "refunded_amount": 0, "transaction_id": "4200001234" }
                    }],
                    "next_cursor": "bLihFAA", "has_more": false
                })),
                (String = "application/x-ndjson", example = "{\"id\":\"0197a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b\",\"type\":\"order.succeeded\",…,\"cursor\":\"bNkRAA\"}\n{\"cursor\":\"bNkRAA\",\"has_more\":false}\n")),
            headers(("X-Poll-Interval" = u32, description = "On an empty page that was not held: seconds until it is worth asking again"),
                ("Preference-Applied" = String, description = "The wait that Prefer asked for, clamped"))),
        (status = 400, response = super::openapi::BadRequest),
        (status = 401, response = super::openapi::Unauthorized),
        (status = 406, response = super::openapi::NotAcceptable),
        (status = 409, response = super::openapi::CursorAhead),
        (status = 410, response = super::openapi::CursorExpired),
        (status = 429, response = super::openapi::TooManyRequests),
        (status = 503, response = super::openapi::Unavailable),
    )
)]
pub async fn read_feed(
    merchant: Merchant,
    request: HttpRequest,
    door: web::Data<Door>,
) -> Result<HttpResponse, ApiError> {
    let format = feed_format(request.headers()).ok_or(ApiError::NotAcceptable { served: SERVED })?;
    let question = FeedQuestion::read(request.query_string(), request.headers(), door.settings.max_wait)?;
    let token = bearer_token(request.headers())?.unwrap_or_default();
    let reader = door
        .service
        .read_events(merchant.0, &question.kinds, question.start.clone())
        .await?;
    let mut response = match format {
        FeedFormat::Lines if request.method() == Method::GET => {
            lines::answer(Lines::open(&door, reader, &question, token).await?)
        }
        FeedFormat::Lines => HttpResponse::Ok().content_type(lines::CONTENT_TYPE).finish(),
        FeedFormat::Page => door.answer_with_page(reader, &question, token).await?,
    };
    response.headers_mut().insert(header::VARY, VARY);
    if question.preferred {
        let applied = format!("wait={}", question.wait);
        let applied = HeaderValue::try_from(applied).expect("a word and a number");
        response.headers_mut().insert(PREFERENCE_APPLIED.clone(), applied);
    }
    Ok(response)
}

impl Door {
    async fn answer_with_page(
        &self,
        mut reader: EventReader,
        question: &FeedQuestion,
        token: &str,
    ) -> Result<HttpResponse, ApiError> {
        let (page, ending) = self.find_page(&mut reader, question).await?;
        let was_held = matches!(ending, Some(Ending::Woken | Ending::TimedOut));
        if was_held && !self.still_opens(token).await {
            return Err(WRONG_KEY);
        }
        self.feed.count(ending);
        self.feed.told_in_pages.increment(page.events.len() as u64);
        let mut response = HttpResponse::Ok();
        response.insert_header((header::CACHE_CONTROL, CACHE_CONTROL));
        if page.events.is_empty() && !page.has_more && !was_held {
            let seconds = self.feed_pace(ending == Some(Ending::Degraded));
            response.insert_header((X_POLL_INTERVAL.clone(), seconds));
        }
        Ok(response.json(FeedPageBody {
            data: page
                .events
                .iter()
                .map(|logged| EventDocument::of(&logged.event))
                .collect(),
            next_cursor: page.cursor.encode(),
            has_more: page.has_more,
        }))
    }

    /// Seconds until it is worth asking again: as for an order that was just made.
    fn feed_pace(&self, is_degraded: bool) -> HeaderValue {
        HeaderValue::from(self.pace.seconds(now(), now(), is_degraded))
    }

    /// The next page, and how the wait for it ended if there was one.
    async fn find_page(
        &self,
        reader: &mut EventReader,
        question: &FeedQuestion,
    ) -> Result<(EventPage, Option<Ending>), LogError> {
        let limit = question.page_size();
        let page = reader.next_page(limit).await?;
        if question.wait == 0 || !page.events.is_empty() || page.has_more {
            return Ok((page, None));
        }
        let Some(mut stay) = reader.stay() else {
            return Ok((page, Some(self.service.holds.no_place())));
        };
        stay.begin(Duration::from_secs(question.wait.into()));
        let ending = reader.wait(limit, &mut stay).await?;
        let page = if ending == Ending::Woken {
            reader.next_page(limit).await?
        } else {
            EventPage {
                cursor: reader.cursor().clone(),
                ..page
            }
        };
        Ok((page, Some(ending)))
    }
}

/// What became of requests for the feed.
#[derive(Debug)]
pub struct FeedMetrics {
    at_once: Counter,
    woken: Counter,
    timed_out: Counter,
    degraded: Counter,
    drained: Counter,
    streamed: Counter,
    told_in_pages: Counter,
    told_in_lines: Counter,
}

impl FeedMetrics {
    pub fn new() -> Self {
        let ended = |outcome| counter!("payquery_event_feed_requests_total", "outcome" => outcome);
        let told = |format| counter!("payquery_event_feed_events_total", "format" => format);
        Self {
            at_once: ended("at_once"),
            woken: ended("woken"),
            timed_out: ended("timed_out"),
            degraded: ended("degraded"),
            drained: ended("drained"),
            streamed: ended("streamed"),
            told_in_pages: told("page"),
            told_in_lines: told("lines"),
        }
    }

    fn count(&self, ending: Option<Ending>) {
        let counter = match ending {
            None => &self.at_once,
            Some(Ending::Woken) => &self.woken,
            Some(Ending::TimedOut) => &self.timed_out,
            Some(Ending::Degraded) => &self.degraded,
            Some(Ending::Drained) => &self.drained,
        };
        counter.increment(1);
    }
}
