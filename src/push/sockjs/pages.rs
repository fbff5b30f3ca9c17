//! What a SockJS client asks for before it has a session: whether this is SockJS, what it can, and the page for its iframe.

use actix_web::http::StatusCode;
use actix_web::http::header;
use actix_web::{Error, HttpRequest, HttpResponse, http::Method, web};
use serde::Serialize;

use super::{PLAIN, Streams, for_page, keep_for_a_year, plain, preflight};

/// `/ws` of who does not open a WebSocket.
pub async fn greet() -> HttpResponse {
    HttpResponse::Ok().content_type(PLAIN).body("Welcome to SockJS!\n")
}

#[derive(Serialize)]
struct Info {
    /// Whether WebSockets come through here.
    websocket: bool,
    origins: [&'static str; 1],
    cookie_needed: bool,
    /// For clients that have no good random numbers of their own.
    entropy: u32,
}

/// `/ws/info`.
pub async fn info(request: HttpRequest, streams: web::Data<Streams>) -> Result<HttpResponse, Error> {
    streams.gate.admit(&request)?;
    if request.method() == Method::OPTIONS {
        return Ok(preflight(&request, "OPTIONS, GET"));
    }
    let info = Info {
        websocket: true,
        origins: ["*:*"],
        cookie_needed: false,
        entropy: fastrand::u32(..),
    };
    let body = serde_json::to_vec(&info).expect("numbers and words always serialise");
    let answer = HttpResponse::Ok()
        .content_type("application/json; charset=UTF-8")
        .body(body);
    Ok(for_page(&request, answer))
}

/// `/ws/iframe….html`: for browsers whose pages may not ask another origin. The page asks in their place, with the client's
/// own script.
pub async fn iframe(request: HttpRequest, streams: web::Data<Streams>) -> HttpResponse {
    let script = &streams.settings.sockjs_client;
    if script.is_empty() {
        return plain(
            StatusCode::NOT_FOUND,
            "there is no iframe page here: PAYQUERY_SOCKJS_CLIENT is empty",
        );
    }
    let page = format!(
        "<!doctype html>\n<html>\n<head>\n<meta charset=\"utf-8\">\n<script src=\"{script}\"></script>\n\
         <script>SockJS.bootstrap_iframe();</script>\n</head>\n<body>\n\
         <p>This page carries messages between the page that holds it and this service.</p>\n</body>\n</html>\n"
    );
    let tag = format!("\"{:016x}\"", checksum(page.as_bytes()));
    let known = request.headers().get(header::IF_NONE_MATCH);
    let is_known = known.is_some_and(|known| known.as_bytes() == tag.as_bytes());
    let mut answer = if is_known {
        HttpResponse::NotModified()
    } else {
        HttpResponse::Ok()
    };
    answer.insert_header((header::ETAG, tag));
    keep_for_a_year(&mut answer);
    if is_known {
        return answer.finish();
    }
    let policy =
        format!("default-src 'none'; script-src 'unsafe-inline' {script}; connect-src 'self'; frame-src 'self'");
    answer
        .content_type("text/html; charset=UTF-8")
        .insert_header((header::CONTENT_SECURITY_POLICY, policy))
        .body(page)
}

/// FNV-1a: tells one page from another, no more.
fn checksum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
