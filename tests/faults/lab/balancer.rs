//! nginx in front of replicas, with the configuration that `examples/replicas` ships.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::world::wait_until;
use super::{Door, World};

/// A running nginx; ended when its owner lets go of it.
#[derive(Debug)]
pub struct Balancer {
    child: Child,
    directory: PathBuf,
    pub door: Door,
}

impl Balancer {
    /// Starts it over the replicas as they listen now. `World::restart` keeps their addresses.
    pub async fn start(world: &World) -> Self {
        let directory = tempfile::Builder::new()
            .prefix("payquery-faults-nginx.")
            .tempdir_in("/tmp")
            .expect("a directory")
            .keep();
        let address = free_address();
        write_configuration(&directory, world, address);
        let child = Command::new("nginx")
            .arg("-p")
            .arg(&directory)
            .arg("-c")
            .arg(directory.join("nginx.conf"))
            .arg("-g")
            .arg(format!(
                "daemon off; worker_rlimit_nofile 16000; pid {}/nginx.pid;",
                directory.display()
            ))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(directory.join("error.log")).expect("a log"))
            .spawn()
            .expect("nginx starts");
        let balancer = Self {
            child,
            directory,
            door: Door::of_balancer(address),
        };
        let up = wait_until(Duration::from_secs(10), async || {
            tokio::net::TcpStream::connect(address).await.is_ok()
        });
        assert!(
            up.await.is_some(),
            "nginx does not listen; see {}",
            balancer.directory.display()
        );
        balancer
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        let pid = i32::try_from(self.child.id())
            .ok()
            .and_then(rustix::process::Pid::from_raw);
        // Its workers end with it only when it is asked.
        let _ = pid.map(|pid| rustix::process::kill_process(pid, rustix::process::Signal::TERM));
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

fn free_address() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("it has an address")
}

/// The shipped file as it is, and the small ones that it includes.
fn write_configuration(directory: &Path, world: &World, address: SocketAddr) {
    let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/replicas/nginx.conf");
    fs::copy(shipped, directory.join("nginx.conf")).expect("the configuration is there");
    let replicas = world
        .replicas
        .iter()
        .map(|replica| format!("server {} max_fails=0;\n", replica.door.address));
    fs::write(directory.join("replicas.conf"), replicas.collect::<String>()).expect("can be written");
    fs::write(directory.join("listen.conf"), format!("listen {address} backlog=4096;")).expect("can be written");
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("{kind}_temp_path {}/{kind};\n", directory.display()));
    fs::write(directory.join("temporary.conf"), temporary.concat()).expect("can be written");
    // As root nginx changes to an account of its own, which must reach its files.
    fs::set_permissions(directory, fs::Permissions::from_mode(0o711)).expect("it is ours");
}
