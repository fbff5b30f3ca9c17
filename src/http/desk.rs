//! The door as messages know it: [`Desk`] over the same credentials, bodies, rules and problems that requests have.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::http::header::{self, HeaderMap, HeaderValue};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use super::auth::WRONG_KEY;
use super::body::{self, is_json};
use super::conditional::WritePrecondition;
use super::error::ApiError;
use super::orders::order_json;
use super::request_id::RequestId;
use super::wire::UpdateBody;
use super::{Door, MAX_BODY_BYTES};
use crate::db::DbError;
use crate::domain::api_key;
use crate::domain::order::MerchantId;
use crate::intake::desk::{Applied, Desk, Letter, Problem, Refusal, Update};

/// What stands for the client's address, which a message does not have: failed attempts by message are counted together. (No
/// message is refused for their number.)
const THE_QUEUE: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
/// For so long a key that did not open is refused without another look-up. (Keys are random: one that does not open will not
/// be issued later.)
const REMEMBERED: Duration = Duration::from_secs(5);
/// Refused keys that are remembered at once.
const MOST_REMEMBERED: usize = 1000;
/// Keys that are looked up at once. They have no limit a second, as requests have for each client's address: the door to the
/// queue is the broker's, and where each look-up waited for its second, whoever passes that door with keys that nobody has
/// would hold up all others. So many leave the database's connections to requests.
const LOOK_UPS: usize = 2;

const NO_KEY: ApiError = ApiError::Unauthorized {
    reason: "send the API key, bare, in the message's header api-key",
};

/// See the module's head.
#[derive(Debug)]
pub struct MessageDesk {
    door: Arc<Door>,
    refused: Mutex<RefusedKeys>,
    look_ups: Semaphore,
}

/// Keys that did not open: a backend whose key was revoked sends on, and need not cost a look-up each time.
#[derive(Debug)]
struct RefusedKeys {
    since: Instant,
    keys: HashSet<Box<str>>,
}

impl MessageDesk {
    pub fn new(door: Arc<Door>) -> Self {
        let refused = RefusedKeys {
            since: Instant::now(),
            keys: HashSet::new(),
        };
        Self {
            door,
            refused: Mutex::new(refused),
            look_ups: Semaphore::new(LOOK_UPS),
        }
    }

    async fn open(&self, letter: &Letter) -> Result<MerchantId, ApiError> {
        let key = letter.api_key.as_deref().ok_or(NO_KEY)?;
        // (Before the key is looked for among the refused: others with the same key may be under way.)
        let _place = self.look_ups.acquire().await.expect("is never closed");
        if self.refused.lock().holds(key) {
            self.door.count_failure(THE_QUEUE, WRONG_KEY);
            return Err(WRONG_KEY);
        }
        match self.door.look_up_key(None, key).await? {
            Ok(active) => Ok(active.merchant_id),
            Err(error) => {
                // It is counted, and refused for what it is: to tell a message that it came too early would be to lose it.
                self.door.count_failure(THE_QUEUE, WRONG_KEY);
                self.refused.lock().add(key);
                Err(error)
            }
        }
    }

    fn read_update(letter: &Letter) -> Result<Update, ApiError> {
        let is_other_type = letter.content_type.as_deref().is_some_and(|given| !is_json(given));
        let encoding = letter.content_encoding.as_deref().unwrap_or_default();
        if is_other_type || !["", "identity", "utf-8"].contains(&&*encoding.to_ascii_lowercase()) {
            return Err(ApiError::UnsupportedMediaType);
        }
        if letter.body.len() > MAX_BODY_BYTES {
            return Err(ApiError::BodyTooLarge);
        }
        let mut fields = HeaderMap::new();
        if let Some(if_match) = &letter.if_match {
            let value = HeaderValue::from_bytes(if_match);
            let value = value.map_err(|_| ApiError::invalid("If-Match", "must be visible characters"))?;
            fields.insert(header::IF_MATCH, value);
        }
        let precondition = WritePrecondition::of(&fields)?;
        let (name, report) = body::read::<UpdateBody>(&letter.body)?.split()?;
        Ok(Update {
            name,
            report: report.parse()?,
            precondition: Arc::new(precondition),
        })
    }
}

impl RefusedKeys {
    fn holds(&mut self, key: &str) -> bool {
        if self.since.elapsed() > REMEMBERED {
            self.keys.clear();
            self.since = Instant::now();
        }
        self.keys.contains(key)
    }

    fn add(&mut self, key: &str) {
        // (What is longer is no key, and costs no look-up.)
        if self.keys.len() < MOST_REMEMBERED && key.len() <= 128 {
            self.keys.insert(key.into());
        }
    }
}

impl Desk for MessageDesk {
    fn request_id(&self, message_id: Option<&str>) -> Box<str> {
        // A key in the wrong place must not come into the log.
        RequestId::or_new(message_id.filter(|id| !id.contains(api_key::PREFIX))).0
    }

    fn identify<'a>(&'a self, letter: &'a Letter) -> BoxFuture<'a, Result<MerchantId, Refusal>> {
        Box::pin(async move {
            self.open(letter)
                .await
                .map_err(|error| refusal(&error, &letter.request_id))
        })
    }

    fn read(&self, letter: &Letter) -> Result<Update, Problem> {
        Self::read_update(letter).map_err(|error| problem(&error, &letter.request_id))
    }

    fn apply<'a>(
        &'a self,
        merchant: MerchantId,
        update: &'a Update,
        request_id: &'a str,
    ) -> BoxFuture<'a, Result<Applied, Refusal>> {
        Box::pin(async move {
            let (name, report) = (update.name.clone(), update.report.clone());
            let updating = self
                .door
                .service
                .update(merchant, name, report, Arc::clone(&update.precondition));
            let order = updating.await.map_err(|error| refusal(&error.into(), request_id))?;
            Ok(Applied {
                order: order_json(&order).into(),
                etag: format!("\"{}\"", order.version),
            })
        })
    }
}

/// Whatever another try may change is no reason to put a message away.
fn refusal(error: &ApiError, request_id: &str) -> Refusal {
    let passes = match error {
        ApiError::Database(error) => matches!(**error, DbError::Unavailable(_)),
        ApiError::Contended | ApiError::QuotaExceeded(_) | ApiError::Stopping | ApiError::Behind => true,
        _ => false,
    };
    if passes {
        let code = error.problem(None).code;
        Refusal::ForNow { code }
    } else {
        Refusal::ForGood(problem(error, request_id))
    }
}

fn problem(error: &ApiError, request_id: &str) -> Problem {
    if let Some(cause) = error.cause() {
        tracing::error!(request.id = %request_id, error.code = %error, cause = %cause, "update by message failed");
    }
    let problem = error.problem(Some(request_id.into()));
    Problem {
        status: problem.status,
        code: problem.code,
        json: Bytes::from(serde_json::to_vec(&problem).expect("texts and numbers always serialise")),
    }
}
