//! `payquery` as a process: its private Postgres, its signals, its address, its probes.

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use rustix::process::Signal;
use serde_json::Value;

use crate::support::{Place, Process, TestDatabase, is_running, postmaster};

/// A command with its private Postgres in that directory.
fn in_place(base: &Path, arguments: &[&str]) -> Command {
    let mut command = Process::command(arguments);
    command
        .env("PAYQUERY_DATA_DIR", base)
        .env("PAYQUERY_ADDR", "127.0.0.1:0");
    command
}

/// The lines that a welcome asks to paste.
fn lines_to_paste(welcome: &str) -> &str {
    let start = welcome.find("  export ").unwrap();
    &welcome[start..welcome.find("Ctrl-C stops payquery").unwrap()]
}

/// What follows a word of the welcome, such as the address.
fn told<'a>(welcome: &'a str, word: &str) -> &'a str {
    let line = welcome
        .lines()
        .find_map(|line| line.trim_start().strip_prefix(word))
        .unwrap();
    line.split_whitespace().next().unwrap()
}

fn run_in_bash(script: &str) -> String {
    let shell = Command::new("bash")
        .args(["-euo", "pipefail", "-c", script])
        .output()
        .unwrap();
    let complaint = String::from_utf8_lossy(&shell.stderr);
    assert!(shell.status.success(), "{script}\n{complaint}");
    String::from_utf8(shell.stdout).unwrap()
}

/// The whole first evening: what `payquery` prints works when pasted, Ctrl-C stops it and its Postgres, and the next start
/// finds the order and prints the same key.
#[test]
fn without_a_command_it_prints_lines_that_work_when_pasted_and_the_next_start_finds_the_data() {
    let place = Place::new();
    let base = place.path("pg");
    let mut first = Process::spawn(in_place(&base, &[]));
    let welcome = first.wait_for_output("Ctrl-C stops payquery");
    assert_eq!(told(&welcome, "address"), format!("http://{}", first.address()));
    let answers = run_in_bash(lines_to_paste(&welcome));
    let count = |text: &str| answers.matches(text).count();
    assert_eq!(count("HTTP/1.1 200 OK"), 2, "a poll and a held request: {answers}");
    // The creation and the poll; the held request, which the report woke, and the report's own answer.
    assert_eq!(
        (count("\"status\":\"pending\""), count("\"status\":\"succeeded\"")),
        (2, 2),
        "{answers}"
    );
    assert!(answers.to_lowercase().contains("etag: \"2\""), "{answers}");

    first.signal(Signal::INT);
    assert_eq!(first.wait().0, Some(0), "{}", first.log());
    assert!(!is_running(&base));

    let mut second = Process::spawn(in_place(&base, &[]));
    let again = second.wait_for_output("Ctrl-C stops payquery");
    assert_eq!(told(&again, "API key"), told(&welcome, "API key"));
    let list = format!(
        "curl -sSf {}/v1/orders -H 'Authorization: Bearer {}'",
        told(&again, "address"),
        told(&again, "API key")
    );
    let orders: Value = serde_json::from_str(&run_in_bash(&list)).unwrap();
    assert_eq!(orders["data"].as_array().unwrap().len(), 1);
    assert_eq!(orders["data"][0]["status"], "succeeded");
    second.signal(Signal::TERM);
    assert_eq!(second.wait().0, Some(0), "{}", second.log());
    assert!(!is_running(&base));
}

#[test]
fn a_key_made_beside_a_running_service_uses_its_postgres_and_leaves_it_running() {
    let place = Place::new();
    let base = place.path("pg");
    let service = Process::spawn(in_place(&base, &["serve"]));
    let url = format!("--url=http://{}", service.address());
    let server = postmaster(&base);
    let (code, output, complaint) = Process::run(in_place(&base, &["key", "create", "--merchant=shop", "--json"]));
    assert_eq!(code, Some(0), "{complaint}");
    assert_eq!(postmaster(&base), server);
    let made: Value = serde_json::from_str(&output).unwrap();
    let mut create = Process::command(&["order", "create", "--out-trade-no=1", "--amount=1", &url]);
    create.env("PAYQUERY_API_KEY", made["api_key"].as_str().unwrap());
    let (code, _, complaint) = Process::run(create);
    assert_eq!(code, Some(0), "{complaint}");
}

#[test]
fn a_command_on_the_private_postgres_starts_it_and_stops_it_again() {
    let place = Place::new();
    let base = place.path("pg");
    let (code, output, complaint) = Process::run(in_place(&base, &["migrate"]));
    assert_eq!(
        (code, output.as_str()),
        (Some(0), "the database's schema is up to date\n"),
        "{complaint}"
    );
    assert!(!is_running(&base));
    let ask = ["with-postgres", "sh", "-c", "echo $DATABASE_URL; exit 7"];
    let (code, output, complaint) = Process::run(in_place(&base, &ask));
    assert!(output.starts_with("postgresql:///payquery?"), "{output}");
    assert_eq!(code, Some(1));
    assert!(complaint.contains("the command ended with exit code 7"), "{complaint}");
    assert!(!is_running(&base));
}

#[tokio::test]
async fn with_a_database_url_no_server_is_started() {
    let (database, place) = (TestDatabase::create().await, Place::new());
    let mut command = in_place(&place.path("pg"), &["serve"]);
    command
        .env("DATABASE_URL", &database.url)
        .env("PG_BINDIR", place.path("nowhere"));
    let service = Process::spawn(command);
    service.address();
    assert!(!place.path("pg").exists());
}

#[test]
fn where_no_postgres_is_installed_the_error_says_how_to_get_one() {
    let place = Place::new();
    let mut command = in_place(&place.path("pg"), &[]);
    command.env("PG_BINDIR", place.directory.path());
    let (code, _, complaint) = Process::run(command);
    assert_eq!(code, Some(1));
    assert!(complaint.contains("apt-get install postgresql"), "{complaint}");
    assert!(!place.path("pg").exists());
}

#[tokio::test]
async fn a_port_that_is_in_use_is_told_with_the_setting_that_names_another() {
    let database = TestDatabase::create().await;
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (code, _, complaint) = Process::serve(&database.url, &["--addr", &address]).finish();
    assert_eq!(code, Some(1));
    let sentence = format!("cannot listen on {address}; is it in use? PAYQUERY_ADDR names another");
    assert!(complaint.contains(&sentence), "{complaint}");
}

#[tokio::test]
async fn an_empty_database_is_made_ready_by_migrate_and_refused_before_where_that_is_left_to_it() {
    let database = TestDatabase::create_empty().await;
    let (code, _, complaint) = Process::serve(&database.url, &["--auto-migrate=false"]).finish();
    assert_eq!(code, Some(1));
    assert!(complaint.contains("run `payquery migrate`"), "{complaint}");
    for _ in 0..2 {
        let mut migrate = Process::command(&["migrate"]);
        migrate.env("DATABASE_URL", &database.url);
        let (code, output, complaint) = Process::run(migrate);
        assert_eq!(
            (code, output.as_str()),
            (Some(0), "the database's schema is up to date\n"),
            "{complaint}"
        );
    }
    Process::serve(&database.url, &["--auto-migrate=false"]).address();
}

#[tokio::test]
async fn the_health_check_asks_the_service_also_where_it_listens_on_all_addresses() {
    let database = TestDatabase::create().await;
    let service = Process::serve(&database.url, &["--addr=0.0.0.0:0"]);
    let address = service.address();
    assert!(address.starts_with("0.0.0.0:"), "{address}");
    let (code, output, complaint) = Process::run(Process::command(&["healthcheck", "--addr", &address]));
    assert_eq!((code, output.as_str(), complaint.as_str()), (Some(0), "", ""));
}

#[tokio::test]
async fn a_service_whose_database_is_gone_is_not_healthy() {
    let database = TestDatabase::create().await;
    let service = Process::serve(&database.url, &[]);
    let address = service.address();
    drop(database);
    let (code, _, complaint) = Process::run(Process::command(&["healthcheck", "--addr", &address]));
    assert_eq!(code, Some(1));
    assert!(complaint.contains("not ready: 5"), "{complaint}");
}
