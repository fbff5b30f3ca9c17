//! The feed as lines (NDJSON): a body that is asked for its next piece whenever the connection has room for it. So pages are
//! read as fast as the client takes them, one is in memory at a time, and no connection to the database is held in between.

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::{HttpResponse, web};
use bytes::Bytes;
use futures_util::stream::unfold;
use serde::Serialize;
use tokio::time::Instant;

use super::super::Door;
use super::super::error::ApiError;
use super::super::wire::{FeedEnd, FeedLine};
use super::X_POLL_INTERVAL;
use super::question::FeedQuestion;
use crate::db::event_log::{LogError, LogPage};
use crate::domain::event::EventDocument;
use crate::push::{Gate as _, sse};
use crate::service::events::{EventReader, Stay};
use crate::service::wait::Ending;

pub(super) const CONTENT_TYPE: &str = "application/x-ndjson";
static X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");
/// Events that are read at once: what is in memory for one client.
const AT_ONCE: u16 = 500;
/// Then the client is asked to come again, with a key that still opens.
const LIFETIME: Duration = Duration::from_mins(10);

/// Lines on their way to a client.
pub(super) struct Lines {
    door: web::Data<Door>,
    reader: EventReader,
    /// Read, and not yet written: the first page is looked for before the answer begins, since it may fail.
    ready: Option<LogPage>,
    /// None: there was no place left. Then what is ready is all.
    stay: Option<Stay>,
    /// How long it waits once it has come to the end of the log.
    follow: Follow,
    is_at_end: bool,
    /// Lines that may still be written; None is any number.
    room: Option<u16>,
    /// Of the API key.
    token: Arc<str>,
    until: Instant,
    is_over: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Follow {
    No,
    /// From when it first comes to the end.
    For(Duration),
    /// Its time is running.
    Begun,
}

/// The stream cannot go on: the connection is closed without the end that the protocol has for a body.
#[derive(Debug, thiserror::Error)]
enum BreakOff {
    #[error(transparent)]
    Log(#[from] LogError),
    #[error("the api key was revoked")]
    KeyRevoked,
}

pub(super) fn answer(lines: Lines) -> HttpResponse {
    let mut response = HttpResponse::Ok();
    response
        .content_type(CONTENT_TYPE)
        .insert_header(sse::cache_control())
        .insert_header((X_ACCEL_BUFFERING.clone(), HeaderValue::from_static("no")));
    if lines.stay.is_none() {
        response.insert_header((X_POLL_INTERVAL.clone(), lines.door.feed_pace(true)));
    }
    response.streaming(unfold(lines, |mut lines| async move {
        if lines.is_over {
            return None;
        }
        let piece = lines.next().await;
        if let Err(error) = &piece {
            tracing::warn!(%error, "lines of the feed broke off");
            lines.is_over = true;
        }
        Some((piece, lines))
    }))
}

impl Lines {
    pub(super) async fn open(
        door: &web::Data<Door>,
        mut reader: EventReader,
        question: &FeedQuestion,
        token: &str,
    ) -> Result<Self, ApiError> {
        let room = question.limit.map(|_| question.page_size());
        let first = reader.look(room.unwrap_or(AT_ONCE).min(AT_ONCE)).await?;
        let stay = reader.stay();
        match &stay {
            Some(_) => door.feed.streamed.increment(1),
            None => door.feed.count(Some(door.service.holds.no_place())),
        }
        let wait = Duration::from_secs(question.wait.into());
        Ok(Self {
            door: door.clone(),
            reader,
            ready: Some(first),
            stay,
            follow: if wait.is_zero() { Follow::No } else { Follow::For(wait) },
            is_at_end: false,
            room,
            token: token.into(),
            until: Instant::now() + LIFETIME,
            is_over: false,
        })
    }

    /// The next lines: one at least, for a piece without any would be the body's end.
    async fn next(&mut self) -> Result<Bytes, BreakOff> {
        let mut text = Vec::new();
        while text.is_empty() {
            if self.is_at_end && !self.wait_for_more().await? {
                self.write_end(false, &mut text);
                break;
            }
            let page = match self.ready.take() {
                Some(page) => page,
                None => self.read_on().await?,
            };
            self.write(&page, &mut text);
            self.is_at_end = !page.has_more;
            if self.must_end() || (self.is_at_end && self.follow == Follow::No) {
                self.write_end(page.has_more, &mut text);
            }
        }
        Ok(text.into())
    }

    async fn read_on(&mut self) -> Result<LogPage, BreakOff> {
        if !self.door.still_opens(&self.token).await {
            return Err(BreakOff::KeyRevoked);
        }
        Ok(self.reader.look(self.size()).await?)
    }

    /// Whether more came.
    async fn wait_for_more(&mut self) -> Result<bool, LogError> {
        let size = self.size();
        let Some(stay) = &mut self.stay else { return Ok(false) };
        if let Follow::For(wait) = self.follow {
            stay.begin(wait);
            self.follow = Follow::Begun;
        }
        Ok(self.reader.wait(size, stay).await? == Ending::Woken)
    }

    fn size(&self) -> u16 {
        self.room.unwrap_or(AT_ONCE).min(AT_ONCE)
    }

    fn must_end(&self) -> bool {
        let has_no_place = self.stay.is_none() || self.door.service.holds.is_draining();
        has_no_place || self.room == Some(0) || Instant::now() >= self.until
    }

    fn write(&mut self, page: &LogPage, text: &mut Vec<u8>) {
        for (index, logged) in page.events.iter().enumerate() {
            let line = FeedLine {
                event: EventDocument::of(&logged.event),
                cursor: page.cursor_after(index).encode(),
            };
            write_line(&line, text);
        }
        self.door.feed.told_in_lines.increment(page.events.len() as u64);
        if let Some(room) = &mut self.room {
            *room -= u16::try_from(page.events.len()).unwrap_or(*room);
        }
    }

    fn write_end(&mut self, has_more: bool, text: &mut Vec<u8>) {
        let cursor = self.reader.cursor().encode();
        write_line(&FeedEnd { cursor, has_more }, text);
        self.is_over = true;
    }
}

fn write_line(line: &impl Serialize, text: &mut Vec<u8>) {
    serde_json::to_writer(&mut *text, line).expect("texts and numbers always serialise");
    text.push(b'\n');
}
