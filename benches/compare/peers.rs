//! The peers: nginx with a static file, nginx with nchan, and actix-web with a handler that does nothing.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};

use super::bare::Answers;
use super::lab::Lab;
use super::server::{Server, free_address};

/// Both peers that are nginx are one server: what is not asked for costs it nothing.
#[derive(Debug)]
pub struct Nginx {
    pub server: Server,
}

/// Files that a process may have open: connections, above all.
pub const OPEN_FILES: usize = 19_900;
/// The static file, below the document root.
pub const STATIC_FILE: &str = "/static/order.json";

impl Nginx {
    /// On the server's processor; `document` is what the static file holds.
    pub fn start(lab: &Lab, document: &[u8]) -> anyhow::Result<Self> {
        let directory = lab.directory.join("nginx");
        fs::create_dir_all(directory.join("static"))?;
        fs::write(directory.join(&STATIC_FILE[1..]), document)?;
        let address = free_address()?;
        let nchan = nchan_module();
        let configuration = include_str!("../peers/nginx.conf")
            .replace("$MODULES", &nchan.as_ref().map_or(String::new(), |path| format!("load_module {};", path.display())))
            .replace("$NCHAN_MEMORY", if nchan.is_some() { "nchan_shared_memory_size 256M;" } else { "" })
            .replace("$NCHAN_LOCATIONS", if nchan.is_some() { include_str!("../peers/nchan-locations.conf") } else { "" })
            .replace("$DIRECTORY", &directory.to_string_lossy())
            .replace("$PORT", &address.port().to_string())
            .replace("$FILES", &OPEN_FILES.to_string())
            // Only root may change accounts.
            .replace("user root;", if rustix::process::geteuid().is_root() { "user root;" } else { "" });
        let file = directory.join("nginx.conf");
        fs::write(&file, configuration)?;
        let program = find_program("nginx").context("nginx is not installed")?;
        let mut command = Command::new(program);
        command
            .arg("-p")
            .arg(&directory)
            .arg("-e")
            .arg(directory.join("nginx.log"))
            .arg("-c")
            .arg(file);
        let server = Server::start(
            "nginx",
            &lab.cores.server,
            address,
            &directory.join("output.log"),
            &command,
        )?;
        Ok(Self { server })
    }
}

/// Where the module is, if it is installed.
pub fn nchan_module() -> Option<PathBuf> {
    ["/usr/lib/nginx/modules", "/usr/lib64/nginx/modules"]
        .map(|directory| Path::new(directory).join("ngx_nchan_module.so"))
        .into_iter()
        .find(|path| path.exists())
}

/// Debian has nginx where only root's PATH leads.
pub fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/usr/local/sbin";
    path.split(':')
        .map(|directory| Path::new(directory).join(name))
        .find(|path| path.exists())
}

/// The version of a program of Debian's packages, as it tells it.
pub fn version_of(name: &str) -> String {
    let said = find_program(name).and_then(|program| Command::new(program).arg("-v").output().ok());
    let said = said
        .map(|output| [output.stdout, output.stderr].concat())
        .unwrap_or_default();
    let said = String::from_utf8_lossy(&said).into_owned();
    let word = said
        .split(['/', ' ', '\n'])
        .find(|word| word.starts_with(|letter: char| letter.is_ascii_digit()));
    word.unwrap_or("?").to_owned()
}

/// This very program, run as the bare handler: see `bare.rs`.
pub fn start_bare(lab: &Lab, answers: &Answers) -> anyhow::Result<Server> {
    let file = lab.directory.join("bare.json");
    fs::write(&file, serde_json::to_vec(answers)?)?;
    let address = free_address()?;
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("bare").arg(address.to_string()).arg(file);
    Server::start(
        "bare actix-web",
        &lab.cores.server,
        address,
        &lab.directory.join("bare.log"),
        &command,
    )
}

/// Runs `wrk` on the load's processor against a path of a server.
pub fn wrk(lab: &Lab, server: &Server, path: &str, headers: &[(String, String)], seconds: u32) -> anyhow::Result<Load> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers/wrk.lua");
    let mut command = Command::new("taskset");
    command.args(["-c", &lab.cores.load, "wrk", "-t1", "-c32"]);
    command.arg(format!("-d{seconds}s")).arg("-s").arg(script);
    for (name, value) in headers {
        command.arg("-H").arg(format!("{name}: {value}"));
    }
    let before = server.processor_time();
    let output = command
        .arg(format!("http://{}{path}", server.address))
        .output()
        .context("wrk is not installed")?;
    let used = server.processor_time().saturating_sub(before);
    let said = String::from_utf8_lossy(&output.stdout);
    let line = said.lines().find_map(|line| line.strip_prefix("wrk "));
    let Some(line) = line.filter(|_| output.status.success()) else {
        bail!("wrk: {said} {}", String::from_utf8_lossy(&output.stderr));
    };
    let value = |name: &str| -> Option<f64> {
        line.split(' ')
            .find_map(|word| word.strip_prefix(name)?.strip_prefix('=')?.parse().ok())
    };
    let (requests, time, failed) = (value("requests"), value("microseconds"), value("failed"));
    let (Some(requests), Some(time), Some(0.0)) = (requests, time, failed) else {
        bail!("requests of wrk failed: {line}");
    };
    Ok(Load {
        requests,
        per_second: requests / time * 1e6,
        processor_microseconds: used.as_secs_f64() * 1e6 / requests,
    })
}

/// What a run of `wrk` came to.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    pub requests: f64,
    pub per_second: f64,
    /// Of the server, for each request.
    pub processor_microseconds: f64,
}
