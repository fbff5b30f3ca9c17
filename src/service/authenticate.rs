//! Who a merchant is: its API keys.

use chrono::{DateTime, Utc};
use parking_lot::{Mutex, RwLock};
use ring::rand::SystemRandom;
use std::collections::{HashMap, HashSet};
use uuid::Uuid;

use super::{Service, random_bytes};
use crate::db::api_keys::{ActiveKey, ListedKey};
use crate::db::{DbError, Pool, api_keys, merchants};
use crate::domain::api_key::{ApiKey, ApiKeyDigest};
use crate::domain::order::MerchantId;
use crate::domain::text::MerchantName;

/// The API keys that were seen and found good. A revoked one is dropped within a housekeeping step.
#[derive(Debug, Default)]
pub struct KnownKeys {
    active: RwLock<HashMap<ApiKeyDigest, ActiveKey>>,
    used: Mutex<HashSet<Uuid>>,
    revocations_read_to: Mutex<Option<DateTime<Utc>>>,
}

/// More active keys than this are looked up in the database each time.
const MAX_KNOWN_KEYS: usize = 100_000;

impl KnownKeys {
    /// The key, if it was found good before.
    pub fn find(&self, key: &ApiKey) -> Option<ActiveKey> {
        let active = *self.active.read().get(&key.digest())?;
        self.mark_used(active.key_id);
        Some(active)
    }

    fn remember(&self, key: &ApiKey, active: ActiveKey) {
        let mut known = self.active.write();
        if known.len() < MAX_KNOWN_KEYS {
            known.insert(key.digest(), active);
        }
        drop(known);
        self.mark_used(active.key_id);
    }

    fn mark_used(&self, key_id: Uuid) {
        self.used.lock().insert(key_id);
    }
}

impl Service {
    /// Looks a key up in the database.
    pub async fn find_key(&self, key: &ApiKey) -> Result<Option<ActiveKey>, DbError> {
        let active = self.reading(api_keys::find_active(&self.pool, &key.digest())).await?;
        if let Some(active) = active {
            self.known_keys.remember(key, active);
        }
        Ok(active)
    }

    /// Forgets the keys that were revoked since the last step, and notes which were used. One or two statements.
    pub async fn refresh_keys(&self) -> Result<(), DbError> {
        let since = self
            .known_keys
            .revocations_read_to
            .lock()
            .unwrap_or(DateTime::UNIX_EPOCH);
        let (revoked, read_to) = self.reading(api_keys::revoked_since(&self.chores, since)).await?;
        {
            let mut known = self.known_keys.active.write();
            for digest in &revoked {
                known.remove(digest.as_slice());
            }
        }
        *self.known_keys.revocations_read_to.lock() = Some(read_to);
        let used: Vec<Uuid> = self.known_keys.used.lock().drain().collect();
        if !used.is_empty() {
            self.writing(api_keys::mark_used(&self.chores, &used)).await?;
        }
        Ok(())
    }
}

/// A key that was just made: the only time that it is seen.
#[derive(Debug)]
pub struct IssuedKey {
    pub key_id: Uuid,
    pub key: ApiKey,
}

/// Makes a key for the merchant of that name, and the merchant when there is none.
pub async fn issue_key(pool: &Pool, merchant: &MerchantName) -> Result<IssuedKey, DbError> {
    let merchant_id = merchants::find_or_create(pool, merchant).await?;
    let random = SystemRandom::new();
    let key = loop {
        // A second round has a chance of less than one in 10^40.
        if let Some(key) = ApiKey::generate(&random_bytes(&random)) {
            break key;
        }
    };
    let key_id = api_keys::insert(pool, merchant_id, &key).await?;
    Ok(IssuedKey { key_id, key })
}

/// All keys, or one merchant's.
pub async fn list_keys(pool: &Pool, merchant: Option<&str>) -> Result<Vec<ListedKey>, DbError> {
    api_keys::list(pool, merchant).await
}

/// Revokes a key; false when there is none with that id. Running services learn of it within seconds.
pub async fn revoke_key(pool: &Pool, key_id: Uuid) -> Result<bool, DbError> {
    api_keys::revoke(pool, key_id).await
}

/// The merchant "demo"; made when there is none.
pub async fn demo_merchant(pool: &Pool) -> Result<MerchantId, DbError> {
    let name = MerchantName::parse("demo").expect("a short word is a name");
    merchants::find_or_create(pool, &name).await
}

/// The key of the merchant "demo": the same at each start of an installation, without being kept anywhere. It is made from the
/// installation's issuing key.
pub async fn issue_demo_key(pool: &Pool) -> Result<ApiKey, DbError> {
    let merchant = demo_merchant(pool).await?;
    let issuing_key = super::Service::issuing_key(pool).await?;
    let key = (0..).find_map(|round| ApiKey::generate(&issuing_key.derive("payquery demo api key", round)));
    let key = key.expect("some round of the first few has enough usable bytes");
    api_keys::insert_or_restore(pool, merchant, &key).await?;
    Ok(key)
}
