//! The embedded default, with real `initdb` and `pg_ctl`, in directories of its own.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::thread;

use payquery::private_postgres::{PrivatePostgres, PrivatePostgresError, Settings, find_binaries};
use rustix::process::{Signal, geteuid, getsid, kill_process};

use crate::support::{Place, is_running, postmaster};

fn ask(url: &str, sql: &str) -> String {
    let psql = find_binaries().unwrap().directory().join("psql");
    let output = Command::new(psql)
        .args(["-X", "-At", "-v", "ON_ERROR_STOP=1", "-d", url, "-c", sql])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Whom the server runs as.
fn owner(base: &Path) -> (u32, u32) {
    let metadata = fs::metadata(base).unwrap();
    (metadata.uid(), metadata.gid())
}

#[test]
fn the_first_start_makes_a_database_and_the_next_start_finds_its_data() {
    let place = Place::new();
    let first = PrivatePostgres::start(&place.settings("pg")).unwrap();
    assert_eq!(first.directory(), place.path("pg"));
    assert_eq!(first.notice(), None);
    assert_eq!(ask(&first.url(), "select current_database()"), "payquery");
    ask(&first.url(), "create table kept as select 42 as answer");
    first.stop().unwrap();
    assert!(!is_running(&place.path("pg")));

    let second = PrivatePostgres::start(&place.settings("pg")).unwrap();
    assert_eq!(ask(&second.url(), "select answer from kept"), "42");
    second.stop().unwrap();
}

#[test]
fn the_server_is_private_and_durable_unless_its_options_say_otherwise() {
    let place = Place::new();
    let postgres = PrivatePostgres::start(&Settings::new(Some(place.path("pg")))).unwrap();
    assert_eq!(fs::metadata(postgres.directory()).unwrap().mode() & 0o777, 0o700);
    let setting = |name: &str| ask(&postgres.url(), &format!("show {name}"));
    assert_eq!(setting("listen_addresses"), "");
    assert_eq!(setting("fsync"), "on");
    assert_eq!(setting("synchronous_commit"), "on");
    assert_eq!(setting("server_encoding"), "UTF8");
    postgres.stop().unwrap();

    let settings = Settings {
        server_options: vec!["work_mem=7MB".into(), "log_line_prefix=it's ".into()],
        ..place.settings("pg")
    };
    let postgres = PrivatePostgres::start(&settings).unwrap();
    assert_eq!(ask(&postgres.url(), "show work_mem"), "7MB");
    assert_eq!(ask(&postgres.url(), "show log_line_prefix"), "it's");
    postgres.stop().unwrap();
}

#[test]
fn a_second_user_shares_the_server_and_the_last_one_stops_it() {
    let place = Place::new();
    let first = PrivatePostgres::start(&place.settings("pg")).unwrap();
    let started = postmaster(first.directory());
    let second = PrivatePostgres::start(&place.settings("pg")).unwrap();
    assert_eq!(postmaster(second.directory()), started);
    assert_eq!(second.url(), first.url());

    first.stop().unwrap();
    assert_eq!(postmaster(second.directory()), started);
    assert_eq!(ask(&second.url(), "select 1"), "1");
    second.stop().unwrap();
    assert!(!is_running(&place.path("pg")));
}

#[test]
fn a_hold_that_is_dropped_is_given_up_like_any_other() {
    let place = Place::new();
    drop(PrivatePostgres::start(&place.settings("pg")).unwrap());
    assert!(!is_running(&place.path("pg")));
}

#[test]
fn a_server_that_is_to_be_kept_outlives_its_users_until_an_ordinary_one_goes() {
    let place = Place::new();
    let keeping = Settings {
        keep_running: true,
        ..place.settings("pg")
    };
    PrivatePostgres::start(&keeping).unwrap().stop().unwrap();
    assert!(is_running(&place.path("pg")));
    PrivatePostgres::start(&place.settings("pg")).unwrap().stop().unwrap();
    assert!(!is_running(&place.path("pg")));
}

#[test]
fn many_first_starts_at_once_make_one_server() {
    let place = Place::new();
    let settings = place.settings("pg");
    let users: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = (0..6)
            .map(|_| scope.spawn(|| PrivatePostgres::start(&settings).unwrap()))
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    for user in &users {
        assert_eq!(ask(&user.url(), "select 1"), "1");
    }
    for user in users {
        assert!(is_running(&place.path("pg")));
        user.stop().unwrap();
    }
    assert!(!is_running(&place.path("pg")));
}

#[test]
fn after_a_kill_of_the_postmaster_the_next_start_recovers_what_was_committed() {
    let place = Place::new();
    let killed = PrivatePostgres::start(&place.settings("pg")).unwrap();
    ask(&killed.url(), "create table kept as select 42 as answer");
    kill_process(postmaster(killed.directory()), Signal::KILL).unwrap();
    while UnixStream::connect(killed.directory().join(".s.PGSQL.5432")).is_ok() {
        thread::yield_now(); // a signal takes its time; the postmaster's children take longer still
    }

    let again = PrivatePostgres::start(&place.settings("pg")).unwrap();
    assert_eq!(ask(&again.url(), "select answer from kept"), "42");
    killed.stop().unwrap();
    assert!(is_running(&place.path("pg")));
    again.stop().unwrap();
}

#[test]
fn a_server_that_died_on_its_own_is_no_error_when_its_last_user_goes() {
    let place = Place::new();
    let postgres = PrivatePostgres::start(&place.settings("pg")).unwrap();
    kill_process(postmaster(postgres.directory()), Signal::KILL).unwrap();
    postgres.stop().unwrap();
}

/// After a reboot a stale pid file can name a process of the same account, which Postgres takes for its predecessor.
#[test]
fn a_stale_pid_file_that_names_a_living_process_does_not_prevent_a_start() {
    struct Sleeper(Child);
    impl Drop for Sleeper {
        fn drop(&mut self) {
            self.0.kill().unwrap();
            self.0.wait().unwrap();
        }
    }
    let place = Place::new();
    let base = place.path("pg");
    let postgres = PrivatePostgres::start(&place.settings("pg")).unwrap();
    let pid_file = fs::read_to_string(base.join("data/postmaster.pid")).unwrap();
    postgres.stop().unwrap();
    let (uid, gid) = owner(&base);
    let sleeper = Sleeper(
        Command::new("sleep")
            .arg("600")
            .uid(uid)
            .gid(gid)
            .current_dir("/")
            .spawn()
            .unwrap(),
    );
    let rest = pid_file.split_once('\n').unwrap().1;
    for name in ["data/postmaster.pid", ".s.PGSQL.5432.lock"] {
        fs::write(base.join(name), format!("{}\n{rest}", sleeper.0.id())).unwrap();
    }

    let postgres = PrivatePostgres::start(&place.settings("pg")).unwrap();
    assert_eq!(ask(&postgres.url(), "select 1"), "1");
    postgres.stop().unwrap();
}

#[test]
fn a_path_too_long_for_a_socket_gets_a_private_short_one() {
    let place = Place::new();
    let name = "long".repeat(40);
    let postgres = PrivatePostgres::start(&place.settings(&name)).unwrap();
    assert_eq!(ask(&postgres.url(), "select 1"), "1");
    assert_eq!(postgres.directory(), place.path(&name));
    let socket_directory = PathBuf::from(ask(&postgres.url(), "show unix_socket_directories").replace('"', ""));
    let metadata = fs::symlink_metadata(&socket_directory).unwrap();
    assert!(metadata.is_dir());
    assert_eq!(metadata.mode() & 0o777, 0o700);
    assert_eq!((metadata.uid(), metadata.gid()), owner(postgres.directory()));
    postgres.stop().unwrap();
    assert!(!socket_directory.exists());
}

#[test]
fn somebody_elses_thing_in_the_place_of_the_short_socket_directory_is_refused() {
    let place = Place::new();
    let name = "long".repeat(40);
    let postgres = PrivatePostgres::start(&place.settings(&name)).unwrap();
    let socket_directory = PathBuf::from(ask(&postgres.url(), "show unix_socket_directories").replace('"', ""));
    postgres.stop().unwrap();
    std::os::unix::fs::symlink(place.directory.path(), &socket_directory).unwrap();

    let refused = PrivatePostgres::start(&place.settings(&name));
    fs::remove_file(&socket_directory).unwrap();
    assert!(
        matches!(refused, Err(PrivatePostgresError::SocketDirectory { .. })),
        "{refused:?}"
    );
}

#[test]
fn a_path_with_characters_that_mean_something_to_shells_and_urls_works() {
    let place = Place::new();
    for name in ["a b", "it's $HOME `id` \"x\"", "50%+1&x=y?#@:é", "a,b"] {
        let postgres = PrivatePostgres::start(&place.settings(name)).unwrap();
        assert_eq!(ask(&postgres.url(), "select 1"), "1", "{name}");
        assert_eq!(
            ask(&postgres.url_of("postgres"), "select current_database()"),
            "postgres"
        );
        postgres.stop().unwrap();
    }
}

#[test]
fn what_an_interrupted_first_start_left_is_cleared_away() {
    let place = Place::new();
    drop(PrivatePostgres::start(&place.settings("pg")).unwrap());
    let base = place.path("pg");
    fs::rename(base.join("data"), base.join("data.init.1")).unwrap();
    fs::remove_file(base.join("data.init.1/PG_VERSION")).unwrap();

    let postgres = PrivatePostgres::start(&place.settings("pg")).unwrap();
    assert_eq!(ask(&postgres.url(), "select 1"), "1");
    assert!(!base.join("data.init.1").exists());
    postgres.stop().unwrap();
}

#[test]
fn a_database_that_was_dropped_is_there_again_after_the_next_start() {
    let place = Place::new();
    let postgres = PrivatePostgres::start(&place.settings("pg")).unwrap();
    ask(&postgres.url_of("postgres"), "drop database payquery");
    postgres.stop().unwrap();
    let postgres = PrivatePostgres::start(&place.settings("pg")).unwrap();
    assert_eq!(ask(&postgres.url(), "select 1"), "1");
    postgres.stop().unwrap();
}

#[test]
fn without_a_server_to_run_the_error_says_what_to_install() {
    let place = Place::new();
    let settings = Settings {
        binaries_dir: Some(place.directory.path().to_owned()),
        ..place.settings("pg")
    };
    let text = PrivatePostgres::start(&settings).unwrap_err().to_string();
    for expected in [
        "PG_BINDIR",
        "apt-get install postgresql",
        "brew install postgresql",
        "DATABASE_URL",
    ] {
        assert!(text.contains(expected), "{text}");
    }
    assert!(!place.path("pg").exists());
}

#[test]
fn a_cluster_of_another_major_version_is_refused_by_name() {
    let place = Place::new();
    drop(PrivatePostgres::start(&place.settings("pg")).unwrap());
    fs::write(place.path("pg").join("data/PG_VERSION"), "8\n").unwrap();
    let text = PrivatePostgres::start(&place.settings("pg")).unwrap_err().to_string();
    assert!(text.contains("was made by PostgreSQL 8"), "{text}");
}

#[test]
fn a_directory_with_other_things_in_it_is_refused_and_left_as_it_was() {
    let place = Place::new();
    fs::create_dir(place.path("home")).unwrap();
    fs::write(place.path("home").join("letter"), "dear").unwrap();
    let before = fs::metadata(place.path("home")).unwrap();

    let refused = PrivatePostgres::start(&place.settings("home"));
    assert!(
        matches!(refused, Err(PrivatePostgresError::NotOurs { .. })),
        "{refused:?}"
    );
    let after = fs::metadata(place.path("home")).unwrap();
    assert_eq!((after.uid(), after.mode()), (before.uid(), before.mode()));
    assert_eq!(fs::read_dir(place.path("home")).unwrap().count(), 1);
}

#[test]
fn an_empty_directory_is_taken_and_closed_to_others() {
    let place = Place::new();
    fs::create_dir(place.path("mount")).unwrap();
    let postgres = PrivatePostgres::start(&place.settings("mount")).unwrap();
    assert_eq!(fs::metadata(postgres.directory()).unwrap().mode() & 0o777, 0o700);
    postgres.stop().unwrap();
}

/// Only root drops to an account that cannot enter what root can.
#[test]
fn a_place_that_the_servers_account_cannot_enter_is_exchanged_for_the_fallback_with_a_notice() {
    if !geteuid().is_root() {
        return;
    }
    let place = Place::new();
    fs::create_dir(place.path("closed")).unwrap();
    fs::set_permissions(place.path("closed"), Permissions::from_mode(0o700)).unwrap();
    let settings = Settings {
        fallback_dir: place.path("fallback"),
        ..place.settings("closed/deep/pg")
    };

    let postgres = PrivatePostgres::start(&settings).unwrap();
    assert_eq!(postgres.directory(), place.path("fallback"));
    let notice = postgres.notice().unwrap();
    assert!(notice.contains("closed cannot be entered by"), "{notice}");
    assert_eq!(ask(&postgres.url(), "select 1"), "1");
    assert_eq!(fs::read_dir(place.path("closed")).unwrap().count(), 0);
    postgres.stop().unwrap();
}

#[test]
fn a_start_that_fails_quotes_the_servers_log_and_the_next_one_works() {
    let place = Place::new();
    let settings = Settings {
        server_options: vec!["work_mem=much".to_owned()],
        ..place.settings("pg")
    };
    let text = PrivatePostgres::start(&settings).unwrap_err().to_string();
    assert!(
        text.contains("invalid value for parameter \"work_mem\": \"much\""),
        "{text}"
    );
    let postgres = PrivatePostgres::start(&place.settings("pg")).unwrap();
    postgres.stop().unwrap();
}

/// So Ctrl-C in our terminal does not reach the server before we stop it.
#[test]
fn the_server_has_a_session_of_its_own() {
    let place = Place::new();
    let postgres = PrivatePostgres::start(&place.settings("pg")).unwrap();
    let server = postmaster(postgres.directory());
    assert_eq!(getsid(Some(server)).unwrap(), server);
    postgres.stop().unwrap();
}

/// Else the server would count as its own user, and would hold the start lock for good.
#[test]
#[cfg(target_os = "linux")]
fn the_server_inherits_none_of_our_locks() {
    let place = Place::new();
    let postgres = PrivatePostgres::start(&place.settings("pg")).unwrap();
    let open = fs::read_dir(format!(
        "/proc/{}/fd",
        postmaster(postgres.directory()).as_raw_nonzero()
    ))
    .unwrap();
    let open: Vec<_> = open
        .map(|entry| fs::read_link(entry.unwrap().path()).unwrap())
        .collect();
    assert!(open.contains(&postgres.directory().join("postgres.log")), "{open:?}");
    assert!(
        !open
            .iter()
            .any(|path| path.ends_with("start.lock") || path.ends_with("users.lock")),
        "{open:?}"
    );
    postgres.stop().unwrap();
}
