//! A TLS proxy in front of a plain server: a real handshake with a real certificate, whether or not the Redis server
//! was built with TLS.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use tempfile::TempDir;

pub struct TlsProxy {
    pub address: SocketAddr,
    /// The PEM file with the certificate authority.
    pub ca_file: PathBuf,
    pub handshakes: Arc<AtomicU64>,
    /// The handshakes that are complete, with or without data after them.
    pub established: Arc<AtomicU64>,
    /// The connections that were accepted.
    pub accepted: Arc<AtomicU64>,
    way: Arc<Way>,
    stop: Arc<AtomicBool>,
    _directory: TempDir,
}

/// The way to the server: how far it is, and whether it is blocked.
#[derive(Default)]
struct Way {
    /// How long a handshake takes at least.
    delay_ms: AtomicU64,
    blocked: AtomicBool,
    /// Those whose connections are open, by number.
    clients: Mutex<HashMap<u64, TcpStream>>,
}

impl TlsProxy {
    /// Makes each handshake take at least this long.
    pub fn far(&self, delay: Duration) {
        let ms = u64::try_from(delay.as_millis()).expect("a delay");
        self.way.delay_ms.store(ms, Ordering::SeqCst);
    }

    /// Blocks handshakes, which then wait, or lets them go on.
    pub fn block(&self, blocked: bool) {
        self.way.blocked.store(blocked, Ordering::SeqCst);
    }

    /// Closes all connections of clients.
    pub fn close(&self) {
        for (_, client) in self.way.clients.lock().expect("lock").drain() {
            // It may be closed already.
            let _ = client.shutdown(Shutdown::Both);
        }
    }

    /// Starts a proxy in front of `127.0.0.1:port`, for the names `localhost` and `127.0.0.1`.
    pub fn start(port: u16) -> Self {
        let certified = rcgen::generate_simple_self_signed(vec![
            "localhost".to_owned(),
            "127.0.0.1".to_owned(),
        ])
        .expect("certificate");
        let key = PrivateKeyDer::try_from(certified.signing_key.serialize_der()).expect("key");
        Self::with(
            port,
            &certified.cert.pem(),
            certified.cert.der().clone(),
            key,
        )
    }

    /// The same with this certificate of an authority.
    pub fn with(
        port: u16,
        authority: &str,
        certificate: CertificateDer<'static>,
        key: PrivateKeyDer<'static>,
    ) -> Self {
        let directory = TempDir::new().expect("directory");
        let ca_file = directory.path().join("ca.pem");
        std::fs::write(&ca_file, authority).expect("written");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .expect("config");
        let config = Arc::new(config);
        // On all addresses, so that a client can use a name that is not in the certificate: 127.0.0.2.
        let listener = TcpListener::bind("0.0.0.0:0").expect("bind");
        let port_of_ours = listener.local_addr().expect("address").port();
        let address = SocketAddr::from(([127, 0, 0, 1], port_of_ours));
        let stop = Arc::new(AtomicBool::new(false));
        let handshakes = Arc::new(AtomicU64::new(0));
        let (stopped, counted) = (Arc::clone(&stop), Arc::clone(&handshakes));
        let (accepted, way) = (Arc::<AtomicU64>::default(), Arc::<Way>::default());
        let (connections, to) = (Arc::clone(&accepted), Arc::clone(&way));
        let established = Arc::<AtomicU64>::default();
        let complete = Arc::clone(&established);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if stopped.load(Ordering::SeqCst) {
                    break;
                }
                let (Ok(client), Ok(copy)) = (stream.try_clone(), stream.try_clone()) else {
                    continue;
                };
                let number = connections.fetch_add(1, Ordering::SeqCst);
                to.clients.lock().expect("lock").insert(number, copy);
                let (config, counted) = (Arc::clone(&config), Arc::clone(&counted));
                let (way, stopped) = (Arc::clone(&to), Arc::clone(&stopped));
                let complete = Arc::clone(&complete);
                std::thread::spawn(move || {
                    std::thread::sleep(Duration::from_millis(way.delay_ms.load(Ordering::SeqCst)));
                    while way.blocked.load(Ordering::SeqCst) && !stopped.load(Ordering::SeqCst) {
                        std::thread::sleep(Duration::from_millis(1));
                    }
                    // A client that does not trust the certificate ends only its own thread.
                    let _ = pass(stream, port, config, &counted, &complete);
                    let _ = client.shutdown(Shutdown::Both);
                    way.clients.lock().expect("lock").remove(&number);
                });
            }
        });
        Self {
            address,
            ca_file,
            handshakes,
            established,
            accepted,
            way,
            stop,
            _directory: directory,
        }
    }
}

/// A certificate authority.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
            .distinguished_name
            .push(DnType::CommonName, "A private authority");
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(params, key).expect("a certificate"))
    }

    /// Its certificate.
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// A proxy in front of `127.0.0.1:port` with a certificate for this name, which is valid in these years.
    pub fn proxy(&self, port: u16, name: &str, (from, to): (i32, i32)) -> TlsProxy {
        let mut params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
        params.not_before = date_time_ymd(from, 1, 1);
        params.not_after = date_time_ymd(to, 1, 1);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.0).expect("a certificate");
        let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
        TlsProxy::with(port, &self.pem(), certificate.der().clone(), key)
    }
}

impl Drop for TlsProxy {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
    }
}

/// Forwards a request and a response in turn, which is enough for a request-response protocol.
fn pass(
    client: TcpStream,
    port: u16,
    config: Arc<ServerConfig>,
    handshakes: &AtomicU64,
    established: &AtomicU64,
) -> std::io::Result<()> {
    client.set_nodelay(true)?;
    let mut server = TcpStream::connect(("127.0.0.1", port))?;
    server.set_nodelay(true)?;
    let mut connection = ServerConnection::new(config).map_err(std::io::Error::other)?;
    let mut client = client;
    while connection.is_handshaking() {
        connection.complete_io(&mut client)?;
    }
    while connection.wants_write() {
        connection.write_tls(&mut client)?;
    }
    established.fetch_add(1, Ordering::SeqCst);
    let mut client = StreamOwned::new(connection, client);
    let mut chunk = vec![0_u8; 65536];
    let mut first = true;
    loop {
        let read = client.read(&mut chunk)?;
        if read == 0 {
            return Ok(());
        }
        if std::mem::take(&mut first) {
            handshakes.fetch_add(1, Ordering::SeqCst);
        }
        server.write_all(&chunk[..read])?;
        // A long request consists of several records; Redis replies only when it has all of them.
        server.set_read_timeout(None)?;
        loop {
            let pending = client
                .conn
                .process_new_packets()
                .map_err(std::io::Error::other)?;
            if pending.plaintext_bytes_to_read() > 0 {
                break;
            }
            server.set_read_timeout(Some(Duration::from_millis(1)))?;
            match server.read(&mut chunk) {
                Ok(0) => return Ok(()),
                Ok(read) => {
                    client.write_all(&chunk[..read])?;
                    client.flush()?;
                }
                Err(error)
                    if matches!(
                        error.kind(),
                        std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
                    ) =>
                {
                    // Redis does not reply yet, so the client may send more.
                    client.sock.set_nonblocking(true)?;
                    let more = client.sock.peek(&mut [0]);
                    client.sock.set_nonblocking(false)?;
                    match more {
                        Ok(_) => break,
                        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                        Err(error) => return Err(error),
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }
}
