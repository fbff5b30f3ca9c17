//! `payquery with-postgres`: the command it runs and the server beneath end in order, whatever signals come.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use rustix::process::Signal;

use crate::support::Process;

/// A command that says when it runs, does not end by itself, and tells the file `ended` which signal ended it.
fn command(directory: &Path) -> Command {
    let script =
        "trap 'echo TERM > ended; exit 0' TERM; echo 'listening on http://here' >&2; while :; do sleep 0.05; done";
    let mut command = Process::command(&["with-postgres", "sh", "-c", script]);
    command
        .current_dir(directory)
        .env("PAYQUERY_DATA_DIR", directory.join("pg"));
    command
}

fn server_is_running(directory: &Path) -> bool {
    directory.join("pg/data/postmaster.pid").exists()
}

#[test]
fn a_ctrl_c_that_the_command_outlives_leaves_it_its_server() {
    let directory = tempfile::tempdir_in("/tmp").unwrap();
    // The server's account must get through.
    std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut process = Process::spawn(command(directory.path()));
    process.address();
    // As the terminal sends it; the command has one of its own, and may have other plans.
    process.signal(Signal::INT);
    process.signal(Signal::TERM);
    assert_eq!(process.wait().0, Some(0), "{}", process.log());
    assert_eq!(
        std::fs::read_to_string(directory.path().join("ended")).unwrap(),
        "TERM\n"
    );
    assert!(
        !server_is_running(directory.path()),
        "the server is stopped after the command has ended"
    );
}

#[test]
fn psql_and_its_like_find_the_server_with_any_arguments() {
    let directory = tempfile::tempdir_in("/tmp").unwrap();
    std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut psql = Process::command(&["with-postgres", "--", "psql", "-Atc", "select current_database()"]);
    psql.env("PAYQUERY_DATA_DIR", directory.path().join("pg"));
    let (code, output, errors) = Process::run(psql);
    assert_eq!((code, output.as_str()), (Some(0), "payquery\n"), "{errors}");
}
