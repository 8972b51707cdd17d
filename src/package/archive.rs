//! The zip for Lambda: one executable file named `bootstrap`.

use std::io::{Cursor, Read as _, Write as _};

use anyhow::{Context as _, bail, ensure};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipArchive, ZipWriter};

/// The file that the `provided` runtimes start.
const ENTRY: &str = "bootstrap";
/// Readable and executable by all users, because Lambda chooses the user that runs it.
const MODE: u32 = 0o755;
/// Lambda's limit for a zip in a request, in bytes.
pub(super) const ZIPPED_LIMIT: u64 = 50 * 1024 * 1024;
/// Lambda's limit for all files of a zip, in bytes.
pub(super) const UNZIPPED_LIMIT: u64 = 250 * 1024 * 1024;

/// Zips a binary. The same binary always results in the same bytes, on any machine.
pub(super) fn pack(binary: &[u8]) -> anyhow::Result<Vec<u8>> {
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .compression_level(Some(9))
        .last_modified_time(DateTime::DEFAULT)
        .unix_permissions(MODE);
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    writer.start_file(ENTRY, options)?;
    writer.write_all(binary)?;
    let zip = writer.finish()?.into_inner();
    ensure_fits(&zip)?;
    Ok(zip)
}

/// Returns the binary in a zip after checking that Lambda can accept and start it.
pub(super) fn unpack(zip: &[u8]) -> anyhow::Result<Vec<u8>> {
    unpack_within(zip, UNZIPPED_LIMIT)
}

fn unpack_within(zip: &[u8], limit: u64) -> anyhow::Result<Vec<u8>> {
    ensure_fits(zip)?;
    let mut archive = ZipArchive::new(Cursor::new(zip)).context("it is not a sound zip file")?;
    let mut total: u64 = 0;
    for index in 0..archive.len() {
        total = total.saturating_add(
            archive
                .by_index_raw(index)
                .context("it is not a sound zip file")?
                .size(),
        );
    }
    ensure!(
        total <= limit,
        "its files have {total} bytes, Lambda takes at most {limit}"
    );
    let Some(index) = archive.index_for_name(ENTRY) else {
        bail!("the zip has no file named `{ENTRY}` at its root");
    };
    let file = archive
        .by_index(index)
        .context("it is not a sound zip file")?;
    ensure!(file.is_file(), "`{ENTRY}` in the zip is not a file");
    // Some tools write no Unix modes into the zip. In that case Lambda sets none either.
    let mode = file.unix_mode().unwrap_or_default();
    ensure!(
        mode & 0o555 == 0o555,
        "`{ENTRY}` in the zip has the mode {:03o} and would not be started; `chmod {MODE:o} {ENTRY}` before zipping it",
        mode & 0o777
    );
    let mut binary = Vec::new();
    // The actual size can differ from the size that the zip declares.
    file.take(limit.saturating_add(1))
        .read_to_end(&mut binary)
        .with_context(|| format!("reading `{ENTRY}` from the zip"))?;
    ensure!(
        binary.len() as u64 <= limit,
        "`{ENTRY}` in the zip has more than {limit} bytes"
    );
    Ok(binary)
}

fn ensure_fits(zip: &[u8]) -> anyhow::Result<()> {
    ensure!(
        zip.len() as u64 <= ZIPPED_LIMIT,
        "the zip has {} bytes, Lambda takes at most {ZIPPED_LIMIT} with the request",
        zip.len()
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zip(entries: &[(&str, u32, &[u8])]) -> Vec<u8> {
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        for (name, mode, contents) in entries {
            writer
                .start_file(*name, SimpleFileOptions::default().unix_permissions(*mode))
                .expect("an entry");
            writer.write_all(contents).expect("contents");
        }
        writer.finish().expect("a zip").into_inner()
    }

    fn refusal(zip: &[u8]) -> String {
        format!("{:#}", unpack(zip).expect_err("a refusal"))
    }

    #[test]
    fn packing_is_reproducible_and_comes_back() {
        let binary: Vec<u8> = (0..100_000_u32)
            .flat_map(|number| number.wrapping_mul(number).to_le_bytes())
            .collect();
        let first = pack(&binary).expect("a zip");
        assert_eq!(first, pack(&binary).expect("a zip"));
        assert_eq!(unpack(&first).expect("a binary"), binary);

        let mut archive = ZipArchive::new(Cursor::new(&first)).expect("an archive");
        assert_eq!(archive.len(), 1);
        let file = archive.by_index(0).expect("a file");
        assert_eq!(file.name().expect("a name"), ENTRY);
        assert_eq!(file.unix_mode(), Some(0o100_755));
        assert_eq!(file.last_modified(), Some(DateTime::DEFAULT));
    }

    #[test]
    fn zips_that_lambda_could_not_start_are_refused() {
        assert!(refusal(b"").contains("not a sound zip"));
        assert!(refusal(b"PK\x03\x04 and nothing else").contains("not a sound zip"));
        assert!(
            refusal(&zip(&[("bin/bootstrap", 0o755, b"x")])).contains("no file named `bootstrap`")
        );
        assert!(refusal(&zip(&[("Bootstrap", 0o755, b"x")])).contains("no file named `bootstrap`"));
        assert!(refusal(&zip(&[("bootstrap", 0o644, b"x")])).contains("mode 644"));
        assert!(refusal(&zip(&[("bootstrap", 0o700, b"x")])).contains("chmod 755"));
        assert!(refusal(&vec![0; ZIPPED_LIMIT as usize + 1]).contains("at most"));
        assert_eq!(
            unpack(&zip(&[("a.txt", 0o644, b"a"), ("bootstrap", 0o755, b"x")])).expect("a binary"),
            b"x"
        );
    }

    #[test]
    fn a_zip_that_unfolds_beyond_the_limit_is_refused() {
        let zip = zip(&[("bootstrap", 0o755, &[0; 1001])]);
        let refusal =
            |zip: &[u8], limit| format!("{:#}", unpack_within(zip, limit).expect_err("a refusal"));
        assert!(refusal(&zip, 1000).contains("its files have 1001 bytes"));
        assert_eq!(unpack_within(&zip, 1001).expect("a binary").len(), 1001);

        // The same zip, with a declared size of 5 bytes in its directory and in its local header.
        let mut liar = zip.clone();
        let size = 1001_u32.to_le_bytes();
        let places: Vec<_> = (0..liar.len() - 4)
            .filter(|at| liar[*at..].starts_with(&size))
            .collect();
        assert!(places.len() >= 2, "{places:?}");
        places
            .iter()
            .for_each(|at| liar[*at..at + 4].copy_from_slice(&5_u32.to_le_bytes()));
        assert!(unpack_within(&liar, 1000).is_err());
    }

    #[test]
    fn no_piece_of_a_zip_panics() {
        let zip = pack(b"a program, or nearly one").expect("a zip");
        for end in 0..zip.len() {
            assert!(unpack(&zip[..end]).is_err(), "{end}");
        }
        for at in 0..zip.len() {
            for value in [0, 0x7f, 0x80, 0xff] {
                let mut broken = zip.clone();
                broken[at] = value;
                let _ = unpack(&broken);
            }
        }
    }
}
