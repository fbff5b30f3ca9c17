//! Settings that are wrong stop the start with a sentence that names them.

use std::time::{Duration, Instant};

use super::payquery;
use crate::support::Process;

/// A flag of `serve`, and values that it must refuse.
const WRONG: &[(&str, &[&str])] = &[
    ("--db-connections", &["1", "-1", "many", "1001"]),
    ("--auto-migrate", &["maybe"]),
    ("--demo", &["maybe"]),
    ("--addr", &["localhost", "127.0.0.1", "127.0.0.1:65536", "256.0.0.1:80"]),
    ("--workers", &["0", "-1", "two"]),
    ("--trusted-proxies", &["10.0.0.0/33", "proxy", "10.0.0.0/8,junk"]),
    (
        "--cors-origins",
        &[
            "shop.example.com",
            "https://shop.example.com/pay",
            "https://*.example.com",
        ],
    ),
    ("--max-wait", &["56", "-1", "1.5", "abc"]),
    ("--max-held", &["-1", "x"]),
    ("--max-held-per-order", &["-1", "x"]),
    ("--max-hot", &["-1", "x"]),
    ("--drain-ms", &["-1", "60001", "1s"]),
    ("--poll-rate", &["-1", "NaN", "inf", "fast", "1000001"]),
    ("--poll-burst", &["0", "-1", "x"]),
    ("--merchant-rate", &["-0.1", "x"]),
    ("--merchant-burst", &["0", "x"]),
    ("--auth-failure-rate", &["-1", "x"]),
    ("--auth-failure-burst", &["0", "x"]),
    ("--log-format", &["xml"]),
];

#[track_caller]
fn assert_refused(setting: &str, (code, output, complaint): (Option<i32>, String, String)) {
    assert_eq!(code, Some(2), "{setting}: {complaint}");
    assert!(complaint.contains(setting), "{setting} is not named: {complaint}");
    assert_eq!(output, "", "{setting}");
}

#[test]
fn every_wrong_flag_is_refused_by_name() {
    for (flag, values) in WRONG.iter().filter(|(flag, _)| *flag != "--demo") {
        for value in *values {
            assert_refused(flag, payquery(&["serve", &format!("{flag}={value}")]));
        }
    }
}

#[test]
fn every_wrong_environment_variable_is_refused_by_name() {
    for (flag, values) in WRONG {
        let variable = match *flag {
            "--database-url" => "DATABASE_URL".to_owned(),
            _ => format!("PAYQUERY_{}", flag[2..].to_uppercase().replace('-', "_")),
        };
        for value in *values {
            let mut command = Process::command(&["serve"]);
            command.env(&variable, value);
            assert_refused(flag, Process::run(command));
        }
    }
}

#[test]
fn without_a_command_a_wrong_setting_is_refused_as_well() {
    let mut command = Process::command(&[]);
    command.env("PAYQUERY_MAX_WAIT", "abc");
    assert_refused("--max-wait", Process::run(command));
}

#[test]
fn an_unknown_flag_and_an_unknown_command_are_refused_by_name() {
    assert_refused("--nonsense", payquery(&["serve", "--nonsense"]));
    assert_refused("nonsense", payquery(&["nonsense"]));
}

#[test]
fn a_database_that_is_no_postgres_is_refused_by_name_and_its_password_is_not_repeated() {
    for url in ["mysql://user:hunter2@host/data", "localhost:hunter2"] {
        let mut command = Process::command(&["migrate"]);
        command.env("DATABASE_URL", url);
        let (code, output, complaint) = Process::run(command);
        assert_eq!(code, Some(1), "{complaint}");
        assert!(
            complaint.contains("DATABASE_URL must begin with postgres://"),
            "{complaint}"
        );
        assert!(
            !complaint.contains("hunter2") && !output.contains("hunter2"),
            "{complaint}"
        );
    }
}

#[test]
fn a_log_filter_that_is_none_is_refused_by_name() {
    for filter in ["a=b=c", "loud", "info,wran"] {
        is_refused(filter);
    }
}

fn is_refused(filter: &str) {
    let (code, _, complaint) = payquery(&["serve", &format!("--log={filter}")]);
    assert_eq!(code, Some(1));
    assert!(complaint.contains("PAYQUERY_LOG is not a log filter"), "{complaint}");
}

#[test]
fn an_error_is_told_even_where_the_log_is_switched_off() {
    let (code, _, complaint) = payquery(&["order", "show", "x", "--log=off"]);
    assert_eq!(code, Some(1));
    assert!(complaint.contains("no API key"), "{complaint}");
}

#[test]
fn a_database_that_does_not_answer_is_told_within_seconds_and_without_its_password() {
    let start = Instant::now();
    let url = "postgres://payquery:hunter2@127.0.0.1:1/payquery";
    let (code, _, complaint) = payquery(&["serve", "--addr=127.0.0.1:0", "--database-url", url]);
    assert_eq!(code, Some(1), "{complaint}");
    assert!(
        complaint.contains("cannot open the database; is DATABASE_URL right?"),
        "{complaint}"
    );
    assert!(!complaint.contains("hunter2"), "{complaint}");
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
}
