//! A proxy in front of Redis that can lose a reply: Redis runs the command, and the connection ends.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

pub struct CutProxy {
    pub address: SocketAddr,
    cut: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
}

impl CutProxy {
    pub fn start(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        let address = listener.local_addr().expect("address");
        let (cut, stop) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicBool::new(false)),
        );
        let (cutting, stopped) = (Arc::clone(&cut), Arc::clone(&stop));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if stopped.load(Ordering::SeqCst) {
                    break;
                }
                let cutting = Arc::clone(&cutting);
                std::thread::spawn(move || {
                    // A client that disconnects ends only its own thread.
                    let _ = pass(stream, port, &cutting);
                });
            }
        });
        Self { address, cut, stop }
    }

    /// Loses the next reply.
    pub fn cut_next(&self, cut: bool) {
        self.cut.store(cut, Ordering::SeqCst);
    }
}

impl Drop for CutProxy {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
    }
}

/// Forwards one command and one reply in turn. Both are small enough to arrive in one piece over loopback.
fn pass(mut client: TcpStream, port: u16, cut: &AtomicBool) -> std::io::Result<()> {
    let mut server = TcpStream::connect(("127.0.0.1", port))?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let mut chunk = vec![0_u8; 1 << 20];
    loop {
        let read = client.read(&mut chunk)?;
        if read == 0 {
            return Ok(());
        }
        server.write_all(&chunk[..read])?;
        let read = server.read(&mut chunk)?;
        if read == 0 || cut.swap(false, Ordering::SeqCst) {
            return Ok(());
        }
        client.write_all(&chunk[..read])?;
    }
}
