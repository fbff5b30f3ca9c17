//! The peer that is actix-web and nothing else: one route, a handler without work, and the headers that payquery sends.
//! One worker, and payquery's own settings of the server where they concern the connection.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::http::{KeepAlive, StatusCode};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use super::client::Answer;

/// What it answers, word for word.
#[derive(Debug, Serialize, Deserialize)]
pub struct Answers {
    pub unchanged_headers: Vec<(String, String)>,
    pub full_headers: Vec<(String, String)>,
    pub body: String,
}

impl Answers {
    /// The same as these answers of payquery.
    pub fn of(unchanged: &Answer, full: &Answer) -> Self {
        let headers = |answer: &Answer| {
            let lines = answer.head.lines().skip(1).filter_map(|line| line.split_once(": "));
            // These two are the framework's own.
            let lines = lines.filter(|(name, _)| !["content-length", "date"].contains(&&*name.to_ascii_lowercase()));
            lines.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
        };
        Self {
            unchanged_headers: headers(unchanged),
            full_headers: headers(full),
            body: String::from_utf8_lossy(&full.body).into_owned(),
        }
    }
}

struct State {
    unchanged: Vec<(HeaderName, HeaderValue)>,
    full: Vec<(HeaderName, HeaderValue)>,
    body: &'static str,
    never: Notify,
    held: AtomicUsize,
}

async fn unchanged(state: web::Data<State>) -> HttpResponse {
    respond(StatusCode::NOT_MODIFIED, &state.unchanged, "")
}

async fn full(state: web::Data<State>) -> HttpResponse {
    respond(StatusCode::OK, &state.full, state.body)
}

/// Held until its time is up, or its client is gone.
async fn hold(state: web::Data<State>, _request: HttpRequest) -> HttpResponse {
    state.held.fetch_add(1, Ordering::Relaxed);
    let _ = tokio::time::timeout(Duration::from_secs(55), state.never.notified()).await;
    state.held.fetch_sub(1, Ordering::Relaxed);
    respond(StatusCode::NOT_MODIFIED, &state.unchanged, "")
}

async fn held(state: web::Data<State>) -> String {
    state.held.load(Ordering::Relaxed).to_string()
}

fn respond(status: StatusCode, headers: &[(HeaderName, HeaderValue)], body: &'static str) -> HttpResponse {
    let mut response = HttpResponse::with_body(status, body).map_into_boxed_body();
    for (name, value) in headers {
        response.headers_mut().insert(name.clone(), value.clone());
    }
    response
}

/// Serves until it is told to stop.
pub fn serve(address: &str, file: &str) -> anyhow::Result<()> {
    let answers: Answers = serde_json::from_slice(&fs::read(file)?)?;
    let ready = |headers: Vec<(String, String)>| -> anyhow::Result<Vec<(HeaderName, HeaderValue)>> {
        let ready = headers.into_iter().map(|(name, value)| {
            let value = HeaderValue::from_static(Box::leak(value.into_boxed_str()));
            Ok((
                HeaderName::from_bytes(name.as_bytes()).context("a header's name")?,
                value,
            ))
        });
        ready.collect()
    };
    let state = web::Data::from(Arc::new(State {
        unchanged: ready(answers.unchanged_headers)?,
        full: ready(answers.full_headers)?,
        body: Box::leak(answers.body.into_boxed_str()),
        never: Notify::new(),
        held: AtomicUsize::new(0),
    }));
    let app = move || {
        App::new()
            .app_data(state.clone())
            .route("/unchanged", web::get().to(unchanged))
            .route("/full", web::get().to(full))
            .route("/hold/{number}", web::get().to(hold))
            .route("/held", web::get().to(held))
    };
    let server = HttpServer::new(app)
        .workers(1)
        .max_connections(super::peers::OPEN_FILES)
        .keep_alive(KeepAlive::Timeout(Duration::from_secs(75)))
        .client_request_timeout(Duration::from_secs(10))
        .h1_allow_half_closed(false)
        .shutdown_timeout(0)
        .bind(address)?;
    actix_web::rt::System::new().block_on(server.run())?;
    Ok(())
}
