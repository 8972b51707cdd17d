//! The bytes that a connection has received. The memory is cleared once and then used again for every message, so that no
//! read has to clear some first.

use std::io::{self, Read};

/// The free space that a read has at least.
const ROOM: usize = 4 << 10;
/// More memory than this is released after the message that needed it.
const KEPT: usize = 64 << 10;

/// The input of one connection.
#[derive(Debug, Default)]
pub(crate) struct Input {
    /// Always used up to its length.
    bytes: Vec<u8>,
    from: usize,
    to: usize,
}

impl Input {
    /// What was received and is not consumed.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes[self.from..self.to]
    }

    /// The number of these bytes.
    pub(crate) fn len(&self) -> usize {
        self.to - self.from
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        if self.bytes.len() > KEPT {
            self.bytes = Vec::new();
        }
        (self.from, self.to) = (0, 0);
    }

    /// Removes bytes from the beginning.
    pub(crate) fn consume(&mut self, count: usize) {
        self.from = (self.from + count).min(self.to);
    }

    /// Removes the bytes after the first `length` ones.
    pub(crate) fn truncate(&mut self, length: usize) {
        self.to = self.to.min(self.from + length);
    }

    /// Replaces everything by these bytes.
    pub(crate) fn replace(&mut self, bytes: Vec<u8>) {
        (self.from, self.to) = (0, bytes.len());
        self.bytes = bytes;
    }

    /// Reads once, and returns the number of bytes; 0 at the end.
    pub(crate) fn read(&mut self, stream: &mut impl Read) -> io::Result<usize> {
        if self.bytes.len() - self.to < ROOM {
            let length = (self.bytes.len() * 2).max(2 * ROOM);
            self.bytes.resize(length, 0);
        }
        loop {
            match stream.read(&mut self.bytes[self.to..]) {
                Ok(read) => {
                    self.to += read;
                    return Ok(read);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns at most this many bytes at a time.
    struct Slow<'a>(&'a [u8], usize);

    impl Read for Slow<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let most = buffer.len().min(self.1);
            (&mut self.0).take(most as u64).read(&mut buffer[..most])
        }
    }

    #[test]
    fn what_was_received_stays_in_order() {
        let sent: Vec<u8> = (0..200_000_u32).map(|n| (n % 251) as u8).collect();
        let mut input = Input::default();
        let mut stream = Slow(&sent, 1000);
        while input.read(&mut stream).expect("read") > 0 {}
        assert_eq!(input.bytes(), sent);
        input.consume(10);
        input.truncate(20);
        assert_eq!(input.bytes(), &sent[10..30]);
        input.consume(100);
        assert_eq!(input.len(), 0);
    }

    #[test]
    fn the_next_message_does_not_have_the_last_one() {
        let mut input = Input::default();
        input.read(&mut &b"first"[..]).expect("read");
        input.clear();
        assert_eq!(input.bytes(), b"");
        input.read(&mut &b"2nd"[..]).expect("read");
        assert_eq!(input.bytes(), b"2nd");
    }

    #[test]
    fn the_memory_of_a_large_message_is_released() {
        let large = vec![1_u8; 1 << 20];
        let mut input = Input::default();
        let mut stream = &large[..];
        while input.read(&mut stream).expect("read") > 0 {}
        input.clear();
        assert_eq!(input.bytes.len(), 0);
        input.read(&mut &b"x"[..]).expect("read");
        assert_eq!(input.bytes(), b"x");
    }
}
