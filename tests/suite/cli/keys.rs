//! `payquery key`: API keys, straight in the database.

use serde_json::Value;

use super::json_lines;
use crate::support::{App, Process, TestDatabase, eventually};

fn key(database: &TestDatabase, arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Process::command(&["key"]);
    command.args(arguments).env("DATABASE_URL", &database.url);
    Process::run(command)
}

#[track_caller]
fn good_key(database: &TestDatabase, arguments: &[&str]) -> String {
    let (code, output, complaint) = key(database, arguments);
    assert_eq!(code, Some(0), "{arguments:?}: {complaint}");
    output
}

/// Makes a key: its id and the key itself.
#[track_caller]
fn create(database: &TestDatabase, merchant: &str) -> (String, String) {
    let created = json_lines(&good_key(database, &["create", "--merchant", merchant, "--json"])).remove(0);
    let text = |name: &str| created[name].as_str().unwrap().to_owned();
    (text("key_id"), text("api_key"))
}

async fn status_with(app: &App, api_key: &str) -> u16 {
    let answer = app.http.get(app.url("/v1/orders")).bearer_auth(api_key).send().await;
    answer.unwrap().status().as_u16()
}

#[tokio::test]
async fn a_key_is_made_as_json_with_three_members_and_opens() {
    let app = App::spawn().await;
    let output = good_key(&app.database, &["create", "--merchant", "Käse & Co", "--json"]);
    let lines = json_lines(&output);
    let [Value::Object(created)] = &lines[..] else {
        panic!("{output}")
    };
    let names: Vec<_> = created.keys().collect();
    assert_eq!(names, ["api_key", "key_id", "merchant"]);
    assert_eq!(created["merchant"], "Käse & Co");
    uuid::Uuid::try_parse(created["key_id"].as_str().unwrap()).unwrap();
    assert_eq!(status_with(&app, created["api_key"].as_str().unwrap()).await, 200);
}

#[tokio::test]
async fn a_key_is_made_as_text_with_a_warning_to_keep_it() {
    let app = App::spawn().await;
    let output = good_key(&app.database, &["create", "--merchant", "shop"]);
    assert!(output.contains("merchant  shop\nkey id    "), "{output}");
    assert!(output.contains("cannot be shown again"), "{output}");
    let shown = output.lines().find_map(|line| line.strip_prefix("API key   ")).unwrap();
    assert_eq!(status_with(&app, shown).await, 200);
}

#[tokio::test]
async fn a_merchant_has_as_many_keys_as_it_likes_and_they_open_the_same_orders() {
    let app = App::spawn().await;
    let ((first_id, first), (second_id, second)) = (create(&app.database, "shop"), create(&app.database, "shop"));
    assert!(first != second && first_id != second_id);
    let body = serde_json::json!({ "out_trade_no": "1", "amount": 1, "currency": "CNY" });
    let made = app.http.post(app.url("/v1/orders")).bearer_auth(first).json(&body);
    assert_eq!(made.send().await.unwrap().status(), 201);
    let read = app.http.get(app.url("/v1/orders/out-trade-no/1")).bearer_auth(second);
    assert_eq!(read.send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn the_list_shows_whose_keys_there_are_and_never_a_key() {
    let database = TestDatabase::create().await;
    let (id, secret) = create(&database, "shop");
    create(&database, "other");
    let all = json_lines(&good_key(&database, &["list", "--json"])).remove(0);
    let merchants: Vec<_> = all["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|key| &key["merchant"])
        .collect();
    assert_eq!(merchants, ["other", "shop"]);

    let output = good_key(&database, &["list", "--json", "--merchant", "shop"]);
    let listed = json_lines(&output).remove(0)["data"].take();
    assert_eq!(listed.as_array().unwrap().len(), 1);
    assert_eq!(
        (&listed[0]["key_id"], &listed[0]["revoked_at"]),
        (&Value::from(id.clone()), &Value::Null)
    );
    assert!(secret.starts_with(listed[0]["hint"].as_str().unwrap()));
    let text = good_key(&database, &["list"]);
    assert!(
        text.contains(&id) && text.contains("shop") && text.contains("other"),
        "{text}"
    );
    assert!(!text.contains(&secret) && !output.contains(&secret));
}

#[tokio::test]
async fn a_revoked_key_is_refused_by_the_running_service_within_seconds_and_the_others_are_not() {
    let app = App::spawn().await;
    let ((id, revoked), (_, kept)) = (create(&app.database, "shop"), create(&app.database, "shop"));
    assert_eq!(
        status_with(&app, &revoked).await,
        200,
        "seen once, so it is known by heart"
    );
    let output = good_key(&app.database, &["revoke", &id, "--json"]);
    assert_eq!(
        json_lines(&output),
        [serde_json::json!({ "key_id": id, "revoked": true })]
    );
    let start = std::time::Instant::now();
    eventually(async || status_with(&app, &revoked).await, |status| *status == 401).await;
    assert!(start.elapsed().as_secs() < 10, "{:?}", start.elapsed());
    assert_eq!(status_with(&app, &kept).await, 200);
    let listed = json_lines(&good_key(&app.database, &["list", "--json", "--merchant", "shop"])).remove(0);
    let revoked_at: Vec<_> = listed["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|key| key["revoked_at"].is_string())
        .collect();
    assert_eq!(revoked_at, [true, false]);
}

#[tokio::test]
async fn revoking_a_key_that_is_not_there_says_so() {
    let database = TestDatabase::create().await;
    let unknown = "0197a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b";
    let (code, output, complaint) = key(&database, &["revoke", unknown]);
    assert_eq!((code, output.as_str()), (Some(1), ""));
    assert!(
        complaint.contains(&format!("there is no key with the id {unknown}")),
        "{complaint}"
    );
}

#[tokio::test]
async fn a_merchants_name_that_is_none_is_refused() {
    let database = TestDatabase::create().await;
    for name in ["", " ", "demo ", "two\nlines", &"x".repeat(65)] {
        let (code, _, complaint) = key(&database, &["create", "--merchant", name]);
        assert_eq!(code, Some(2), "{name:?}");
        assert!(complaint.contains("--merchant"), "{complaint}");
    }
}
