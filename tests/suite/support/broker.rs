//! RabbitMQ for tests: a server in a directory and on ports of its own, reachable from this machine only. One that all tests
//! share, with a virtual host for each; and ones that a test may kill.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

/// A server's directory and ports.
#[derive(Debug)]
struct Server {
    directory: PathBuf,
    ports: Ports,
    /// Bytes of disk below which it takes nothing.
    disk_limit: u64,
}

/// Tests need little.
const DISK_LIMIT: u64 = 10_000_000;

#[derive(Debug, Clone, Copy)]
struct Ports {
    amqp: u16,
    amqps: u16,
    api: u16,
    distribution: u16,
    epmd: u16,
}

/// The server and its name service (Erlang's epmd), which has a port of its own too.
#[derive(Debug)]
struct Running {
    server: Child,
    epmd: Child,
}

impl Server {
    fn start(&self) -> Running {
        self.write_settings();
        let mut epmd = Command::new("epmd");
        epmd.args(["-address", "127.0.0.1", "-port", &self.ports.epmd.to_string()]);
        let epmd = detached(&mut epmd);
        let mut server = Command::new(program());
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("RABBITMQ_") || name.starts_with("ERL_"))
        {
            server.env_remove(name);
        }
        let inside = |name: &str| self.directory.join(name);
        server
            .env("HOME", &self.directory)
            .env("ERL_EPMD_PORT", self.ports.epmd.to_string())
            .env("ERL_EPMD_ADDRESS", "127.0.0.1")
            .env("RABBITMQ_NODENAME", self.node())
            .env("RABBITMQ_DIST_PORT", self.ports.distribution.to_string())
            .env("RABBITMQ_CONF_ENV_FILE", "/dev/null")
            .env("RABBITMQ_CONFIG_FILE", inside("rabbitmq.conf"))
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", inside("enabled_plugins"))
            .env("RABBITMQ_MNESIA_BASE", inside("data"))
            .env("RABBITMQ_LOG_BASE", inside("log"))
            .env(
                "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS",
                // It shares the machine with all else, and only this machine may talk to it.
                "+sbwt none +sbwtdcpu none +sbwtdio none -kernel inet_dist_use_interface {127,0,0,1}",
            );
        let server = detached(&mut server);
        let running = Running { server, epmd };
        self.wait_until_up();
        running
    }

    /// Its tool for operators.
    fn control(&self) -> Command {
        let mut command = Command::new(program().with_file_name("rabbitmqctl"));
        command
            .env("HOME", &self.directory)
            .env("ERL_EPMD_PORT", self.ports.epmd.to_string())
            .env("RABBITMQ_NODENAME", self.node())
            .env("RABBITMQ_CONF_ENV_FILE", "/dev/null")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
    }

    fn node(&self) -> String {
        format!("payquery{}@localhost", self.ports.amqp)
    }

    fn write_settings(&self) {
        let Ports { amqp, amqps, api, .. } = self.ports;
        let certificates = Certificates::ensure(&self.directory);
        let settings = format!(
            "listeners.tcp.1 = 127.0.0.1:{amqp}\n\
             listeners.ssl.1 = 127.0.0.1:{amqps}\n\
             ssl_options.certfile = {}\nssl_options.keyfile = {}\nssl_options.verify = verify_none\n\
             management.tcp.ip = 127.0.0.1\nmanagement.tcp.port = {api}\n\
             log.console = false\nlog.file.level = warning\n\
             disk_free_limit.absolute = {}\n",
            certificates.certificate.display(),
            certificates.key.display(),
            self.disk_limit,
        );
        fs::write(self.directory.join("rabbitmq.conf"), settings).unwrap();
        fs::write(self.directory.join("enabled_plugins"), "[rabbitmq_management].\n").unwrap();
    }

    /// Its own word for it is the only one that counts. (It is another program, which starts in seconds and rings no bell.)
    fn wait_until_up(&self) {
        let start = Instant::now();
        while !self.is_up() {
            assert!(
                start.elapsed() < Duration::from_secs(90),
                "RabbitMQ in {} does not start",
                self.directory.display()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn is_up(&self) -> bool {
        let answer = self.api("GET", "/api/overview");
        answer.is_some_and(|answer| answer.starts_with("HTTP/1.1 200"))
            && TcpStream::connect(("127.0.0.1", self.ports.amqp)).is_ok()
    }

    /// Asks its management interface; None if it does not answer.
    fn api(&self, method: &str, path: &str) -> Option<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.ports.api)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(30))).ok()?;
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic Z3Vlc3Q6Z3Vlc3Q=\r\n\
             Connection: close\r\nContent-Length: 0\r\n\r\n"
        )
        .ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        Some(answer)
    }

    fn url(&self, virtual_host: &str) -> String {
        format!("amqp://guest:guest@127.0.0.1:{}/{virtual_host}", self.ports.amqp)
    }
}

impl Ports {
    /// Ports that nobody has. It is seconds until the server takes them, and when it was killed it takes them again; meanwhile the tests
    /// beside this one are given ports all the time, but none of these numbers: they are below those that systems give out. (Whoever asks
    /// for one by its number may take it in between; then the start fails, and says so.)
    fn free() -> Self {
        let listener = || TcpListener::bind(("127.0.0.1", fastrand::u16(15_000..30_000)));
        let listeners = [(); 5].map(|()| std::iter::repeat_with(listener).find_map(Result::ok).unwrap());
        let [amqp, amqps, api, distribution, epmd] = listeners.map(|listener| listener.local_addr().unwrap().port());
        Self {
            amqp,
            amqps,
            api,
            distribution,
            epmd,
        }
    }

    fn read(file: &Path) -> Option<Self> {
        let text = fs::read_to_string(file).ok()?;
        let ports: Vec<u16> = text.split_whitespace().filter_map(|port| port.parse().ok()).collect();
        let [amqp, amqps, api, distribution, epmd] = ports[..] else {
            return None;
        };
        Some(Self {
            amqp,
            amqps,
            api,
            distribution,
            epmd,
        })
    }

    fn write(self, file: &Path) {
        let Self {
            amqp,
            amqps,
            api,
            distribution,
            epmd,
        } = self;
        fs::write(file, format!("{amqp} {amqps} {api} {distribution} {epmd}\n")).unwrap();
    }
}

/// What the server proves itself with at `amqps://`, and the authority that vouches for it.
struct Certificates {
    certificate: PathBuf,
    key: PathBuf,
}

impl Certificates {
    fn ensure(directory: &Path) -> Self {
        let this = Self {
            certificate: directory.join("server.pem"),
            key: directory.join("server.key"),
        };
        if !this.certificate.exists() {
            let authority_key = rcgen::KeyPair::generate().unwrap();
            let mut authority = rcgen::CertificateParams::new(Vec::new()).unwrap();
            authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
            let authority_certificate = authority.self_signed(&authority_key).unwrap();
            let issuer = rcgen::Issuer::new(authority, authority_key);
            let key = rcgen::KeyPair::generate().unwrap();
            let server = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
            let server = server.signed_by(&key, &issuer).unwrap();
            fs::write(&this.key, key.serialize_pem()).unwrap();
            fs::write(directory.join("authority.pem"), authority_certificate.pem()).unwrap();
            fs::write(&this.certificate, server.pem()).unwrap();
        }
        this
    }
}

/// In a group of its own: it is to outlive this process, or to be killed with all that it started.
fn detached(command: &mut Command) -> Child {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?}: {error}; is RabbitMQ installed? scripts/require.sh rabbitmq"))
}

/// The server itself, past Debian's wrapper, which insists on an account of its own. `scripts/require.sh` looks there too.
fn program() -> PathBuf {
    let known = [
        "/usr/lib/rabbitmq/bin/rabbitmq-server",
        "/opt/homebrew/opt/rabbitmq/sbin/rabbitmq-server",
        "/usr/local/opt/rabbitmq/sbin/rabbitmq-server",
    ];
    let found = known.into_iter().map(PathBuf::from).find(|path| path.exists());
    found.unwrap_or_else(|| "rabbitmq-server".into())
}

/// Where the shared one is; also known to the script that stops it after `make test`.
fn shared_directory() -> PathBuf {
    let uid = rustix::process::getuid().as_raw();
    std::env::temp_dir().join(format!("payquery-tests-rabbitmq-{uid}"))
}

/// The server that all tests share: started by the first that needs it, and kept running from one test process to the next.
fn shared() -> &'static Server {
    static SHARED: OnceLock<(Server, File)> = OnceLock::new();
    let (server, _) = SHARED.get_or_init(|| {
        let directory = shared_directory();
        fs::create_dir_all(&directory).unwrap();
        // Held for as long as this process lives: the script does not stop what is in use.
        let users = File::create(directory.join("users.lock")).unwrap();
        users.lock_shared().unwrap();
        let starting = File::create(directory.join("start.lock")).unwrap();
        starting.lock().unwrap();
        let ports_file = directory.join("ports");
        let found = Ports::read(&ports_file).map(|ports| Server {
            directory: directory.clone(),
            ports,
            disk_limit: DISK_LIMIT,
        });
        if let Some(server) = found.filter(Server::is_up) {
            return (server, users);
        }
        stop_what_is_left(&directory);
        let server = Server {
            ports: Ports::free(),
            directory,
            disk_limit: DISK_LIMIT,
        };
        server.ports.write(&ports_file);
        let running = server.start();
        let pids = format!("{} {}\n", running.server.id(), running.epmd.id());
        fs::write(server.directory.join("pids"), pids).unwrap();
        (server, users)
    });
    server
}

/// Of an earlier one that does not answer any more, if anything.
fn stop_what_is_left(directory: &Path) {
    let pids = fs::read_to_string(directory.join("pids")).unwrap_or_default();
    for pid in pids
        .split_whitespace()
        .filter_map(|pid| pid.parse().ok().and_then(Pid::from_raw))
    {
        let command = fs::read_to_string(format!("/proc/{}/cmdline", pid.as_raw_nonzero())).unwrap_or_default();
        if command.contains("rabbitmq-server") || command.contains("epmd") {
            let _ = kill_process_group(pid, Signal::KILL);
        }
    }
    let _ = fs::remove_dir_all(directory.join("data"));
}

/// A virtual host of the shared server, deleted with this value.
#[derive(Debug)]
pub struct VirtualHost {
    pub url: String,
    name: String,
}

impl VirtualHost {
    pub async fn create() -> Self {
        let creating = tokio::task::spawn_blocking(|| {
            let name = format!("test-{}", uuid::Uuid::now_v7().simple());
            let answer = shared().api("PUT", &format!("/api/vhosts/{name}")).unwrap();
            assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
            Self {
                url: shared().url(&name),
                name,
            }
        });
        creating.await.unwrap()
    }

    /// The same by TLS, and the authority to trust for it.
    pub fn tls_url(&self) -> (String, PathBuf) {
        let server = shared();
        let url = format!("amqps://guest:guest@localhost:{}/{}", server.ports.amqps, self.name);
        (url, server.directory.join("authority.pem"))
    }

    /// The names of the connections to it, as clients gave them.
    pub fn connection_names(&self) -> Vec<String> {
        let mut names: Vec<_> = self.connections().into_iter().map(|(name, _)| name).collect();
        names.sort();
        names
    }

    /// Ends the connections of that name, as an operator does; says how many.
    pub fn close_connections(&self, name: &str) -> usize {
        let connections = self.connections().into_iter().filter(|(given, _)| given == name);
        let closed = connections.map(|(_, id)| {
            let path = format!("/api/connections/{}", id.replace(' ', "%20").replace('>', "%3E"));
            let answer = shared().api("DELETE", &path).unwrap();
            assert!(answer.starts_with("HTTP/1.1 204"), "{answer}");
        });
        closed.count()
    }

    /// By the name that clients gave, and the broker's own.
    fn connections(&self) -> Vec<(String, String)> {
        let answer = shared().api("GET", &format!("/api/vhosts/{}/connections", self.name));
        let answer = answer.unwrap();
        let body = answer.split_once("\r\n\r\n").unwrap().1;
        let list: serde_json::Value = serde_json::from_str(body).unwrap();
        let text = |value: &serde_json::Value| value.as_str().map(ToOwned::to_owned);
        let list = list.as_array().unwrap().iter();
        list.filter_map(|it| Some((text(&it["client_properties"]["connection_name"])?, text(&it["name"])?)))
            .collect()
    }
}

impl Drop for VirtualHost {
    fn drop(&mut self) {
        let _ = shared().api("DELETE", &format!("/api/vhosts/{}", self.name));
    }
}

/// A server that is a test's own, to be killed and started again.
#[derive(Debug)]
pub struct OwnBroker {
    pub url: String,
    server: Server,
    running: Option<Running>,
    _directory: tempfile::TempDir,
}

impl OwnBroker {
    /// With its ports taken, but not running yet.
    pub fn prepare() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let server = Server {
            directory: directory.path().to_owned(),
            ports: Ports::free(),
            disk_limit: DISK_LIMIT,
        };
        Self {
            url: server.url("%2f"),
            server,
            running: None,
            _directory: directory,
        }
    }

    /// From its next start on it says that its disk is full, or not any more.
    pub fn set_disk_full(&mut self, is_full: bool) {
        self.server.disk_limit = if is_full { 1 << 60 } else { DISK_LIMIT };
    }

    /// From now on it says that it is short of memory, or not any more.
    pub async fn set_short_of_memory(&self, is_short: bool) {
        let mut command = self.server.control();
        let arguments = ["set_vm_memory_high_watermark", if is_short { "0" } else { "0.9" }];
        let status = tokio::task::spawn_blocking(move || command.args(arguments).status());
        assert!(status.await.unwrap().unwrap().success());
    }

    pub async fn start(mut self) -> Self {
        let starting = tokio::task::spawn_blocking(move || {
            self.running = Some(self.server.start());
            self
        });
        starting.await.unwrap()
    }

    /// As if the machine had lost its power.
    pub fn kill(&mut self) {
        if let Some(mut running) = self.running.take() {
            end(&mut running.server);
            end(&mut running.epmd);
        }
    }
}

impl Drop for OwnBroker {
    fn drop(&mut self) {
        self.kill();
    }
}

fn end(child: &mut Child) {
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    let _ = kill_process_group(pid, Signal::KILL);
    let _ = kill_process(pid, Signal::KILL);
    let _ = child.wait();
}
