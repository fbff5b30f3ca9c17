//! The commands that a person types: the real binary, its exit codes and what it prints.

mod events;
mod help;
mod keys;
mod orders;
mod settings;
mod watch;

use crate::support::{App, Process};

/// Runs `payquery` with these arguments: exit code, standard output, standard error.
fn payquery(arguments: &[&str]) -> (Option<i32>, String, String) {
    Process::run(Process::command(arguments))
}

/// Runs it as a merchant's shell would, beside a running service; it must succeed. Returns what it printed.
#[track_caller]
fn as_merchant(app: &App, arguments: &[&str]) -> String {
    let (code, output, complaint) = try_as_merchant(app, arguments);
    assert_eq!(code, Some(0), "{arguments:?}: {complaint}");
    output
}

fn try_as_merchant(app: &App, arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Process::command(arguments);
    command
        .env("PAYQUERY_URL", app.url(""))
        .env("PAYQUERY_API_KEY", &app.api_key);
    Process::run(command)
}

/// One JSON document a line.
fn json_lines(output: &str) -> Vec<serde_json::Value> {
    output.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}
