//! Rate limits: what is counted, for whom, and how it is told.

use crate::support::{Answer, App, AppBuilder, Order};

/// Three full answers at once, then one each hundred seconds: nothing comes back while a test runs.
fn three_polls() -> AppBuilder {
    App::builder().flag("--poll-rate", "0.01").flag("--poll-burst", "3")
}

fn limits(answer: &Answer) -> (u16, &str, &str) {
    (
        answer.status,
        answer.header("ratelimit-policy"),
        answer.header("ratelimit"),
    )
}

/// Polls until it is refused; says how often it wasn't.
async fn polls_until_refused(mut ask: impl AsyncFnMut() -> Answer) -> usize {
    for allowed in 0..100 {
        let answer = ask().await;
        if answer.status == 429 {
            return allowed;
        }
    }
    panic!("never refused");
}

#[tokio::test]
async fn every_answer_tells_the_policy_and_what_is_left() {
    let app = three_polls().spawn().await;
    let order = app.create_order().await;
    let policy = "\"poll\";q=3;w=300";
    let full = app.ask(&order).send().await;
    assert_eq!(limits(&full), (200, policy, "\"poll\";r=2;t=100"));
    let unchanged = app.ask(&order).if_none_match("\"1\"").send().await;
    assert_eq!(limits(&unchanged), (304, policy, "\"poll\";r=1;t=150"));
    let head = app.ask_head(&order).send().await;
    assert_eq!(limits(&head), (200, policy, "\"poll\";r=0;t=250"));
}

#[tokio::test]
async fn past_the_quota_the_answer_is_429_and_says_when_to_come_back() {
    let app = three_polls().spawn().await;
    let order = app.create_order().await;
    for _ in 0..3 {
        assert_eq!(app.ask(&order).send().await.status, 200);
    }
    let refused = app.ask(&order).send().await;
    let problem = refused.problem(429, "quota_exceeded");
    assert_eq!(
        problem["type"],
        "https://iana.org/assignments/http-problem-types#quota-exceeded"
    );
    assert_eq!(problem["violated-policies"], serde_json::json!(["poll"]));
    let retry_after: u64 = refused.header("retry-after").parse().unwrap();
    assert!((90..=100).contains(&retry_after), "{retry_after}");
    let limit = format!("\"poll\";r=0;t={retry_after}");
    assert_eq!(limits(&refused), (429, "\"poll\";q=3;w=300", &*limit));
    assert_eq!(app.metric("payquery_polls_total", "outcome=\"limited\"").await, 1.0);
}

#[tokio::test]
async fn the_time_to_come_back_is_rounded_up_and_never_0() {
    let app = App::builder()
        .flag("--poll-rate", "20")
        .flag("--poll-burst", "1")
        .spawn()
        .await;
    let order = app.create_order().await;
    // Each answer brings the next request at once: far more than twenty in a second.
    let asking: Vec<_> = (0..40).map(|_| app.ask(&order).spawn()).collect();
    let mut refused = 0;
    for asking in asking {
        let answer = asking.await.unwrap();
        if answer.status == 429 {
            assert_eq!(answer.header("retry-after"), "1");
            refused += 1;
        }
    }
    assert!(refused > 0);
}

#[tokio::test]
async fn after_the_time_to_come_back_the_answer_is_there() {
    let app = App::builder()
        .flag("--poll-rate", "1")
        .flag("--poll-burst", "1")
        .spawn()
        .await;
    let order = app.create_order().await;
    let ask = async || app.ask(&order).send().await;
    let mut statuses = vec![ask().await.status];
    // On a slow machine the quota of one is back before the next request comes.
    let refused = loop {
        let answer = ask().await;
        statuses.push(answer.status);
        if answer.status == 429 {
            break answer;
        }
        assert!(statuses.len() < 100, "never refused");
    };
    assert!(
        statuses[..statuses.len() - 1].iter().all(|status| *status == 200),
        "{statuses:?}"
    );
    let retry_after: u64 = refused.header("retry-after").parse().unwrap();
    tokio::time::sleep(std::time::Duration::from_secs(retry_after)).await; // what the answer asked for
    assert_eq!(ask().await.status, 200);
}

#[tokio::test]
async fn unchanged_answers_cost_half_of_full_ones() {
    let app = three_polls().spawn().await;
    let (order, other) = (app.create_order().await, app.create_order().await);
    assert_eq!(polls_until_refused(async || app.ask(&order).send().await).await, 3);
    assert_eq!(
        polls_until_refused(async || app.ask(&other).if_none_match("\"1\"").send().await).await,
        6
    );
}

#[tokio::test]
async fn a_held_request_costs_as_little_as_a_304() {
    let app = three_polls().spawn().await;
    let order = app.create_order().await;
    for _ in 0..3 {
        let held = app.ask(&order).if_none_match("\"1\"").query("wait", 50).spawn();
        app.wait_for_held(1).await;
        held.abort();
        app.wait_for_held(0).await;
    }
    let held = app.ask(&order).query("since_version", 1).query("wait", 50).spawn();
    app.wait_for_held(1).await;
    app.report(&order, "succeeded").await;
    let answer = held.await.unwrap();
    assert_eq!((answer.status, answer.header("ratelimit")), (200, "\"poll\";r=1;t=200"));
}

#[tokio::test]
async fn another_order_has_a_quota_of_its_own() {
    let app = three_polls().spawn().await;
    let (order, other) = (app.create_order().await, app.create_order().await);
    assert_eq!(polls_until_refused(async || app.ask(&order).send().await).await, 3);
    assert_eq!(app.ask(&other).send().await.header("ratelimit"), "\"poll\";r=2;t=100");
}

#[tokio::test]
async fn without_a_limit_nothing_is_said_of_one() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    for _ in 0..100 {
        assert_eq!(limits(&app.ask(&order).send().await), (200, "", ""));
    }
}

fn three_requests_of_a_merchant() -> AppBuilder {
    App::builder()
        .flag("--merchant-rate", "0.01")
        .flag("--merchant-burst", "3")
}

#[tokio::test]
async fn a_merchants_calls_count_by_key_and_tell_so() {
    let app = three_requests_of_a_merchant().spawn().await;
    let policy = "\"merchant\";q=3;w=300";
    assert_eq!(
        limits(&app.get("/v1/orders").await),
        (200, policy, "\"merchant\";r=2;t=100")
    );
    let unknown = app.get(&format!("/v1/orders/{}", uuid::Uuid::now_v7())).await;
    assert_eq!(limits(&unknown), (404, policy, "\"merchant\";r=1;t=200"));
    let invalid = app.post("/v1/orders", &serde_json::json!({})).await;
    assert_eq!(limits(&invalid), (400, policy, "\"merchant\";r=0;t=300"));
    let refused = app.get("/v1/orders").await;
    assert_eq!(
        refused.problem(429, "quota_exceeded")["violated-policies"],
        serde_json::json!(["merchant"])
    );
    assert!(refused.header("retry-after").parse::<u64>().unwrap() >= 90);
    let other_key = app.key_of("acme").await;
    let with_other_key = Answer::to(app.http.get(app.url("/v1/orders")).bearer_auth(other_key)).await;
    assert_eq!(with_other_key.status, 200);
}

#[tokio::test]
async fn a_merchants_polls_count_on_its_key_and_leave_the_payers_quota_alone() {
    let app = three_requests_of_a_merchant()
        .flag("--poll-rate", "0.01")
        .flag("--poll-burst", "3")
        .spawn()
        .await;
    let order = app.create_order().await;
    let ask = || app.ask_with(&order, &app.api_key);
    assert_eq!(ask().send().await.header("ratelimit"), "\"merchant\";r=1;t=200");
    assert_eq!(
        ask().if_none_match("\"1\"").send().await.header("ratelimit"),
        "\"merchant\";r=0;t=250"
    );
    assert_eq!(
        ask().send().await.problem(429, "quota_exceeded")["violated-policies"],
        serde_json::json!(["merchant"])
    );
    assert_eq!(app.ask(&order).send().await.header("ratelimit"), "\"poll\";r=2;t=100");
}

/// One order opened, and wrong secrets for it until they are refused.
async fn guess_until_refused(app: &App) -> Order {
    let order = app.create_order().await;
    assert_eq!(app.ask(&order).send().await.status, 200);
    let guesses = polls_until_refused(async || {
        let answer = app.ask_with(&order, "pqs_wrong").send().await;
        assert!(matches!(answer.status, 404 | 429), "{answer:?}");
        answer
    });
    assert!((1..=3).contains(&guesses.await));
    order
}

#[tokio::test]
async fn too_many_wrong_secrets_are_refused_while_right_ones_go_on_working() {
    let app = App::builder()
        .flag("--auth-failure-rate", "0.01")
        .flag("--auth-failure-burst", "3")
        .spawn()
        .await;
    let order = guess_until_refused(&app).await;
    let refused = app.ask_with(&order, "pqs_wrong").send().await;
    assert_eq!(
        refused.problem(429, "quota_exceeded")["violated-policies"],
        serde_json::json!(["authentication"])
    );
    assert!(refused.header("retry-after").parse::<u64>().unwrap() >= 1);
    // Wherever the guesses go: another order, a merchant's call, a key.
    let other = app.create_order().await;
    app.ask_with(&other, &order.secret)
        .send()
        .await
        .problem(429, "quota_exceeded");
    let guess = app.http.get(app.url("/v1/orders")).bearer_auth("pqk_wrong");
    Answer::to(guess).await.problem(429, "quota_exceeded");
    // The payer and the merchant behind the same address notice nothing.
    assert_eq!(app.ask(&order).send().await.status, 200);
    assert_eq!(app.ask(&other).send().await.status, 200);
    assert_eq!(app.get("/v1/orders").await.status, 200);
}

#[tokio::test]
async fn wrong_secrets_on_sockets_count_with_all_others_and_right_ones_go_on_opening() {
    let app = App::builder()
        .flag("--auth-failure-rate", "0.01")
        .flag("--auth-failure-burst", "4")
        .spawn()
        .await;
    let order = app.create_order().await;
    let wrong = serde_json::json!({ "type": "auth", "order_id": order.id, "client_secret": "pqs_wrong" });
    let with_id = format!("order-id:{}", order.id);
    for _ in 0..2 {
        let mut socket = app.socket("/v1/ws").await;
        socket.send(&wrong).await;
        socket.refusal(404, "order_not_found").await;
        assert_eq!(socket.close_code().await, Some(3000));
        let mut stomp = app.stomp().await;
        let refused = stomp.connect(&[&with_id, "client-secret:pqs_wrong"]).await;
        refused.problem("order_not_found");
        assert_eq!(stomp.close_code().await, 3000);
    }
    app.ask_with(&order, "pqs_wrong")
        .send()
        .await
        .problem(429, "quota_exceeded");
    let mut stomp = app.stomp().await;
    let refused = stomp.connect(&[&with_id, "client-secret:pqs_wrong"]).await;
    let policies = serde_json::json!(["authentication"]);
    assert_eq!(refused.problem("quota_exceeded")["violated-policies"], policies);
    assert_eq!(stomp.close_code().await, 1013);
    let mut socket = app.socket("/v1/ws").await;
    socket.send(&wrong).await;
    let refused = socket.refusal(429, "quota_exceeded").await;
    assert_eq!(refused["data"]["violated-policies"], policies);
    assert!(refused["retry_after"].as_u64().unwrap() >= 1, "{refused}");
    // The right one opens all the same, on the same socket, too.
    socket.send(&crate::support::socket::auth(&order)).await;
    assert_eq!(socket.next().await["msgType"], "auth_ack");
    assert_eq!(socket.document().await["version"], 1);
    app.stomp_following(&order).await;
}
