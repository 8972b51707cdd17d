//! The name of a cache that fails over: new connections go to the server that it names now.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};

pub struct Forward {
    pub address: SocketAddr,
    port: Arc<AtomicU16>,
    stop: Arc<AtomicBool>,
}

impl Forward {
    pub fn start(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        let address = listener.local_addr().expect("address");
        let (port, stop) = (Arc::new(AtomicU16::new(port)), Arc::<AtomicBool>::default());
        let (to, stopped) = (Arc::clone(&port), Arc::clone(&stop));
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if stopped.load(Ordering::SeqCst) {
                    break;
                }
                // Without a server, the connection ends.
                if let Ok(server) = TcpStream::connect(("127.0.0.1", to.load(Ordering::SeqCst))) {
                    // A side that disconnects ends only this connection.
                    let _ = join(&client, &server);
                }
            }
        });
        Self {
            address,
            port,
            stop,
        }
    }

    /// Names another server. Open connections stay.
    pub fn point_to(&self, port: u16) {
        self.port.store(port, Ordering::SeqCst);
    }
}

impl Drop for Forward {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
    }
}

fn join(client: &TcpStream, server: &TcpStream) -> std::io::Result<()> {
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    for (from, to) in [(client, server), (server, client)] {
        let (mut from, mut to) = (from.try_clone()?, to.try_clone()?);
        std::thread::spawn(move || {
            let _ = copy(&mut from, &mut to);
            let _ = from.shutdown(Shutdown::Both);
            let _ = to.shutdown(Shutdown::Both);
        });
    }
    Ok(())
}

fn copy(from: &mut TcpStream, to: &mut TcpStream) -> std::io::Result<()> {
    let mut chunk = [0_u8; 16384];
    loop {
        match from.read(&mut chunk)? {
            0 => return Ok(()),
            read => to.write_all(&chunk[..read])?,
        }
    }
}
