//! Table `webhook_deliveries` as those see it who deliver: claim, mark.
//!
//! A claim is a lease: `due_at` is its end, and only who shows its token may mark. Who was killed is overtaken when it ends.

use chrono::{DateTime, Utc};
use sqlx::PgExecutor;
use uuid::Uuid;

use super::DbError;
use crate::domain::order::OrderId;
use crate::domain::webhook::{DeliveryId, DeliveryState, EndpointId, SecretPair, WebhookSecret, WebhookUrl};

/// How much may be claimed at once.
#[derive(Debug, Clone, Copy)]
pub struct Room {
    /// In all.
    pub total: i64,
    /// Of one endpoint, those in hand included.
    pub per_endpoint: i64,
    /// The same, of one that took nothing lately.
    pub per_failing_endpoint: i64,
    /// Of all of those together, those in hand included.
    pub failing: i64,
    /// How long nobody else may have what is claimed.
    pub lease_seconds: f64,
}

/// A delivery that is this process's to make.
#[derive(Debug)]
pub struct Claimed {
    pub id: DeliveryId,
    pub token: Uuid,
    pub endpoint: EndpointId,
    pub order: Option<OrderId>,
    pub event_id: Uuid,
    pub payload: String,
    /// The number of this attempt, from 1.
    pub attempt: i32,
    /// The same, since the delivery was queued.
    pub tries: i32,
    /// None: what is stored is no URL to this version.
    pub url: Option<WebhookUrl>,
    pub secrets: SecretPair,
    /// When the endpoint was last changed, as it was seen here: what it answers is the answer of that endpoint, and of none that it becomes
    /// meanwhile.
    pub endpoint_updated_at: DateTime<Utc>,
}

/// Claims what is due, round robin over the endpoints; `in_hand` is how many of each this process is at just now.
///
/// Endpoints with something due are found by jumping along the index, from one to the next; so what waits at one of them costs
/// the others nothing. Whether a delivery is the first of its order is looked up for each by itself: joined, it is for the planner
/// to choose, and with statistics of a time when nothing was pending it reads all that is.
pub async fn claim(
    executor: impl PgExecutor<'_>,
    room: Room,
    in_hand: &[(EndpointId, i64)],
) -> Result<Vec<Claimed>, DbError> {
    let token = Uuid::now_v7();
    let (endpoints, counts): (Vec<Uuid>, Vec<i64>) = in_hand.iter().map(|(id, count)| (id.0, *count)).unzip();
    let rows = sqlx::query!(
        r#"with recursive busy as (
               (select endpoint_id from webhook_deliveries where state = 'pending' and due_at is not null
                order by endpoint_id limit 1)
               union all
               select (select d.endpoint_id from webhook_deliveries d
                       where d.state = 'pending' and d.due_at is not null and d.endpoint_id > busy.endpoint_id
                       order by d.endpoint_id limit 1)
               from busy where busy.endpoint_id is not null),
           due as (
               select head.id, head.turn, head.due_at, e.url, e.secret, e.updated_at, e.failing_since is not null as is_failing,
                      case when e.previous_secret_until > now() then e.previous_secret end as previous_secret,
                      row_number() over (partition by e.failing_since is null order by head.turn, head.due_at) as number
               from busy join webhook_endpoints e on e.id = busy.endpoint_id and e.disabled_at is null and e.deleted_at is null
                    left join unnest($1::uuid[], $2::bigint[]) as hand (endpoint_id, taken) on hand.endpoint_id = e.id
                    cross join lateral (
                        select id, due_at, row_number() over (order by due_at, place) as turn
                        from (select d.id, d.due_at, d.place from webhook_deliveries d
                              where d.endpoint_id = e.id and d.state = 'pending' and d.due_at <= now()
                                and (d.order_id is null
                                     or d.place = (select h.place from webhook_deliveries h
                                                   where h.endpoint_id = d.endpoint_id and h.order_id = d.order_id
                                                     and h.state = 'pending' order by h.place limit 1))
                              order by d.due_at, d.place
                              limit greatest(case when e.failing_since is null then $3::bigint else $4::bigint end
                                             - coalesce(hand.taken, 0), 0)
                              for no key update of d skip locked) as due) as head),
           picked as (
               select id, url, secret, previous_secret, updated_at from due
               where not is_failing
                  or number <= $8::bigint - (select coalesce(sum(hand.taken), 0)
                                     from unnest($1::uuid[], $2::bigint[]) as hand (endpoint_id, taken)
                                          join webhook_endpoints e on e.id = hand.endpoint_id
                                     where e.failing_since is not null)
               order by turn, due_at limit $5)
           update webhook_deliveries d
           set claim = $6, due_at = now() + make_interval(secs => $7), attempts = attempts + 1, tries = tries + 1
           from picked where d.id = picked.id
           returning d.id, d.endpoint_id, d.order_id, d.event_id, d.payload, d.attempts, d.tries,
                     picked.url as "url!", picked.secret as "secret!", picked.previous_secret,
                     picked.updated_at as "endpoint_updated_at!""#,
        &endpoints,
        &counts,
        room.per_endpoint,
        room.per_failing_endpoint,
        room.total,
        token,
        room.lease_seconds,
        room.failing,
    )
    .fetch_all(executor)
    .await?;
    let claimed = rows.into_iter().map(|row| Claimed {
        id: DeliveryId(row.id),
        token,
        endpoint: EndpointId(row.endpoint_id),
        order: row.order_id.map(OrderId),
        event_id: row.event_id,
        payload: row.payload,
        attempt: row.attempts,
        tries: row.tries,
        url: WebhookUrl::parse(&row.url).ok(),
        secrets: SecretPair {
            current: WebhookSecret::from_stored(row.secret),
            previous: row.previous_secret.map(WebhookSecret::from_stored),
        },
        endpoint_updated_at: row.endpoint_updated_at,
    });
    Ok(claimed.collect())
}

/// What a delivery has come to.
#[derive(Debug)]
pub struct Mark {
    pub id: DeliveryId,
    pub token: Uuid,
    pub state: DeliveryState,
    /// Of one that is still pending: seconds until the next attempt.
    pub delay_seconds: f64,
}

/// Writes what deliveries have come to; says of which. The others were overtaken: their lease was over, and somebody else has
/// them. What waited behind those that are done must be released.
///
/// What is claimed is pending; a statement that says so would let the planner read all that is, where it expects nothing there.
pub async fn mark(executor: impl PgExecutor<'_>, marks: &[Mark]) -> Result<Vec<DeliveryId>, DbError> {
    let ids: Vec<_> = marks.iter().map(|mark| mark.id.0).collect();
    let tokens: Vec<_> = marks.iter().map(|mark| mark.token).collect();
    let states: Vec<_> = marks.iter().map(|mark| mark.state.as_str()).collect();
    let delays: Vec<_> = marks.iter().map(|mark| mark.delay_seconds).collect();
    let marked = sqlx::query_scalar!(
        "with ours as materialized (
             select d.id, m.state, m.delay
             from unnest($1::uuid[], $2::uuid[], $3::text[], $4::float8[]) as m (id, token, state, delay)
                  join webhook_deliveries d on d.id = m.id and d.claim = m.token
             order by d.endpoint_id, d.order_id, d.place for no key update of d)
         update webhook_deliveries d
         set state = ours.state, claim = null,
             due_at = case when ours.state = 'pending' then now() + make_interval(secs => ours.delay) end,
             done_at = case when ours.state <> 'pending' then now() end
         from ours where d.id = ours.id
         returning d.id",
        &ids,
        &tokens,
        &states as _,
        &delays,
    )
    .fetch_all(executor)
    .await?;
    Ok(marked.into_iter().map(DeliveryId).collect())
}
