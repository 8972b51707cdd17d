//! Checks whether Lambda can start a binary.
//!
//! Lambda accepts an incompatible binary at upload, and every start of it fails.

use anyhow::{Context as _, anyhow, bail, ensure};
use goblin::elf::Elf;
use goblin::elf::dynamic::DT_VERNEED;
use goblin::elf::header::{EM_AARCH64, EM_X86_64, ET_DYN, ET_EXEC, machine_to_str};
use goblin::elf::program_header::{PF_X, PT_INTERP, PT_LOAD};
use goblin::elf::symver::VER_FLG_WEAK;

use super::source;

/// The glibc version of the `provided.al2023` runtime.
const GLIBC: [u64; 2] = [2, 34];

/// A processor architecture of Lambda.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Architecture {
    X86_64,
    Arm64,
}

impl Architecture {
    pub(super) fn parse(word: &str) -> anyhow::Result<Self> {
        match word {
            "x86_64" => Ok(Self::X86_64),
            "arm64" => Ok(Self::Arm64),
            _ => bail!("there is no architecture `{word}`; x86_64 and arm64 are known"),
        }
    }

    /// The name in Lambda.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Arm64 => "arm64",
        }
    }

    /// The name in Rust targets.
    pub(super) fn rust(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Arm64 => "aarch64",
        }
    }

    fn machine(self) -> u16 {
        match self {
            Self::X86_64 => EM_X86_64,
            Self::Arm64 => EM_AARCH64,
        }
    }

    /// The dynamic linker of the runtime.
    fn interpreter(self) -> &'static str {
        match self {
            Self::X86_64 => "/lib64/ld-linux-x86-64.so.2",
            Self::Arm64 => "/lib/ld-linux-aarch64.so.1",
        }
    }
}

/// Returns an error if Lambda cannot start the binary on `architecture`. The error states the problem and how to build
/// a compatible binary.
pub(super) fn inspect(binary: &[u8], architecture: Architecture) -> anyhow::Result<()> {
    problems(binary, architecture).map_err(|problem| {
        anyhow!(
            "Lambda could not start it: {problem:#}; one that fits comes from \
             `cargo lambda build --release --target {}-unknown-linux-gnu.2.34` (`pip install cargo-lambda`)",
            architecture.rust()
        )
    })
}

fn problems(binary: &[u8], architecture: Architecture) -> anyhow::Result<()> {
    ensure!(binary.starts_with(b"\x7fELF"), "it is not an ELF file");
    let elf = Elf::parse(binary).context("it is not a sound ELF file")?;
    ensure!(
        elf.is_64 && elf.little_endian,
        "it is not a 64-bit little-endian ELF file"
    );
    ensure!(
        elf.header.e_machine == architecture.machine(),
        "it is built for {}, not for {}",
        machine(elf.header.e_machine),
        architecture.as_str()
    );
    let code = elf.program_headers.iter().any(|header| {
        let end = header.p_offset.checked_add(header.p_filesz);
        header.p_type == PT_LOAD
            && header.p_flags & PF_X != 0
            && end.is_some_and(|end| end <= binary.len() as u64)
    });
    let kind = elf.header.e_type;
    ensure!(
        (kind == ET_EXEC || kind == ET_DYN) && elf.entry != 0 && code,
        "it is no executable program"
    );
    let dynamic = elf
        .program_headers
        .iter()
        .any(|header| header.p_type == PT_INTERP);
    match elf.interpreter {
        Some(interpreter) => ensure!(
            interpreter == architecture.interpreter(),
            "it wants the dynamic linker {interpreter}, the runtime has {}",
            architecture.interpreter()
        ),
        None if dynamic => bail!("the name of its dynamic linker cannot be read"),
        // Static, unless it lists libraries, which only a dynamic linker loads.
        None => ensure!(elf.libraries.is_empty(), "it is a library, not a program"),
    }
    let needed = glibc(&elf)?;
    ensure!(
        needed <= GLIBC,
        "it needs GLIBC_{}.{}, the runtime has {}.{}",
        needed[0],
        needed[1],
        GLIBC[0],
        GLIBC[1]
    );
    Ok(())
}

/// The newest glibc version that the program requires; zero for a static program.
fn glibc(elf: &Elf<'_>) -> anyhow::Result<[u64; 2]> {
    let wanted = elf
        .dynamic
        .as_ref()
        .is_some_and(|dynamic| dynamic.dyns.iter().any(|entry| entry.d_tag == DT_VERNEED));
    let Some(needs) = &elf.verneed else {
        // The dynamic linker finds the versions through the dynamic section, this parser through the section table.
        ensure!(
            !wanted,
            "its section table is stripped, so what it needs of glibc cannot be told"
        );
        return Ok([0, 0]);
    };
    let mut newest = [0, 0];
    let versions: Vec<_> = needs
        .iter()
        .flat_map(|file| file.iter().collect::<Vec<_>>())
        .collect();
    for version in versions {
        let name = elf
            .dynstrtab
            .get_at(version.vna_name)
            .context("its symbol versions cannot be read")?;
        // The dynamic linker ignores a missing version that only weak references require.
        let weak = version.vna_flags & VER_FLG_WEAK != 0;
        match name.strip_prefix("GLIBC_") {
            Some(numbers) if !weak && numbers != "PRIVATE" => {
                // Names like GLIBC_ABI_DT_RELR are not versions. All of them are newer than the runtime's glibc.
                let numbers = source::version(numbers)
                    .with_context(|| format!("it needs {name}, the runtime lacks it"))?;
                newest = newest.max([numbers[0], numbers[1]]);
            }
            _ => {}
        }
    }
    Ok(newest)
}

fn machine(number: u16) -> String {
    match number {
        EM_X86_64 => "x86_64".to_owned(),
        EM_AARCH64 => "arm64".to_owned(),
        other => machine_to_str(other).to_owned(),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::fs;
    use std::process::Command;

    use super::*;

    /// This machine's architecture.
    pub(in super::super) fn host() -> Architecture {
        match std::env::consts::ARCH {
            "aarch64" => Architecture::Arm64,
            _ => Architecture::X86_64,
        }
    }

    fn other() -> Architecture {
        match host() {
            Architecture::Arm64 => Architecture::X86_64,
            Architecture::X86_64 => Architecture::Arm64,
        }
    }

    /// A small program, linked with the linker that Rust uses on Linux.
    pub(in super::super) fn compile(flags: &[&str]) -> Vec<u8> {
        let dir = tempfile::tempdir().expect("a folder");
        let (source, binary) = (dir.path().join("main.c"), dir.path().join("main"));
        fs::write(&source, "int main(void) { return 0; }").expect("a source");
        let status = Command::new("cc")
            .args(flags)
            .arg("-o")
            .arg(&binary)
            .arg(&source)
            .status()
            .expect("cc");
        assert!(status.success());
        fs::read(&binary).expect("a binary")
    }

    /// A minimal static program: a file header, one program header, and no real code.
    fn minimal(machine: u16, kind: u16) -> Vec<u8> {
        let mut elf = vec![0; 128];
        elf[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
        let mut put = |at: usize, bytes: &[u8]| elf[at..at + bytes.len()].copy_from_slice(bytes);
        put(16, &kind.to_le_bytes());
        put(18, &machine.to_le_bytes());
        put(20, &1_u32.to_le_bytes());
        put(24, &0x40_0078_u64.to_le_bytes()); // entry
        put(32, &64_u64.to_le_bytes()); // program headers
        put(52, &[64, 0, 56, 0, 1, 0, 64, 0]); // sizes and numbers
        put(64, &PT_LOAD.to_le_bytes());
        put(68, &5_u32.to_le_bytes());
        put(80, &0x40_0000_u64.to_le_bytes()); // address
        put(96, &128_u64.to_le_bytes()); // size in the file
        put(104, &128_u64.to_le_bytes()); // size in memory
        elf
    }

    fn replace(binary: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
        assert_eq!(from.len(), to.len());
        let mut binary = binary.to_vec();
        let places: Vec<_> = (0..=binary.len() - from.len())
            .filter(|at| binary[*at..].starts_with(from))
            .collect();
        assert!(
            !places.is_empty(),
            "{} is not in the file",
            String::from_utf8_lossy(from)
        );
        places
            .into_iter()
            .for_each(|at| binary[at..at + to.len()].copy_from_slice(to));
        binary
    }

    fn refusal(binary: &[u8], architecture: Architecture) -> String {
        format!(
            "{:#}",
            inspect(binary, architecture).expect_err("a refusal")
        )
    }

    #[test]
    fn programs_of_this_machine_fit() {
        inspect(&replace_newer(&compile(&[])), host()).expect("a dynamic program");
        inspect(&minimal(EM_X86_64, ET_EXEC), Architecture::X86_64).expect("a static program");
        inspect(&minimal(EM_AARCH64, ET_DYN), Architecture::Arm64)
            .expect("a static program of another machine");
    }

    /// Replaces glibc versions that this machine's linker requires and the runtime lacks: the tests set the version.
    fn replace_newer(binary: &[u8]) -> Vec<u8> {
        let mut binary = binary.to_vec();
        while let Err(refusal) = inspect(&binary, host()) {
            let refusal = format!("{refusal:#}");
            let newer = refusal
                .split(' ')
                .find(|word| word.starts_with("GLIBC_"))
                .expect("a version")
                .to_owned();
            binary = replace(
                &binary,
                newer.trim_end_matches(',').as_bytes(),
                b"GLIBC_2.34",
            );
        }
        binary
    }

    #[test]
    fn this_very_test_is_understood() {
        let this = fs::read(std::env::current_exe().expect("a path")).expect("a binary");
        // Whether it is compatible depends on this machine's glibc; whether it can be parsed does not.
        if let Err(refusal) = inspect(&this, host()) {
            assert!(format!("{refusal:#}").contains("GLIBC_2."), "{refusal:#}");
        }
        assert!(refusal(&this, other()).contains("it is built for"));
    }

    #[test]
    fn a_newer_glibc_is_refused_unless_only_weakly_wanted() {
        let binary = replace_newer(&compile(&[]));
        let newer = replace(&binary, b"GLIBC_2.34", b"GLIBC_2.39");
        let text = refusal(&newer, host());
        assert!(
            text.contains("needs GLIBC_2.39, the runtime has 2.34"),
            "{text}"
        );
        assert!(
            text.contains("unknown-linux-gnu.2.34") && text.contains("pip install cargo-lambda"),
            "{text}"
        );

        // The entry that requires the version: the hash of its name, then flags.
        let hash = "GLIBC_2.34".bytes().fold(0_u32, |hash, byte| {
            let hash = (hash << 4).wrapping_add(u32::from(byte));
            let high = hash & 0xf000_0000;
            (hash ^ (high >> 24)) & !high
        });
        let (strong, weak) = (
            [hash.to_le_bytes().as_slice(), &[0, 0]].concat(),
            [hash.to_le_bytes().as_slice(), &[2, 0]].concat(),
        );
        inspect(&replace(&newer, &strong, &weak), host()).expect("only weakly wanted");

        let text = refusal(&replace(&binary, b"GLIBC_2.34", b"GLIBC_ABIX"), host());
        assert!(text.contains("needs GLIBC_ABIX"), "{text}");
    }

    #[test]
    fn what_is_no_program_for_the_runtime_is_refused() {
        let text = |binary: &[u8]| refusal(binary, Architecture::X86_64);
        assert!(text(b"").contains("not an ELF file"));
        assert!(text(b"#!/bin/sh\necho\n").contains("not an ELF file"));
        assert!(text(&minimal(EM_AARCH64, ET_EXEC)).contains("built for arm64, not for x86_64"));
        assert!(text(&minimal(8, ET_EXEC)).contains("built for MIPS, not for x86_64"));
        assert!(text(&minimal(EM_X86_64, 1)).contains("no executable program"));
        let mut narrow = minimal(EM_X86_64, ET_EXEC);
        narrow[4] = 1;
        assert!(text(&narrow).contains("ELF file"), "{}", text(&narrow));

        let library = compile(&["-shared", "-fPIC"]);
        let text = refusal(&library, host());
        assert!(
            text.contains("no executable program") || text.contains("a library"),
            "{text}"
        );
        let musl = replace(
            &compile(&[]),
            host().interpreter().as_bytes(),
            &host()
                .interpreter()
                .replace("ld-linux", "ld-muslx")
                .into_bytes(),
        );
        assert!(refusal(&musl, host()).contains("wants the dynamic linker"));
    }

    #[test]
    fn no_piece_of_a_program_panics() {
        let binary = compile(&["-s"]);
        for end in 0..binary.len() {
            let _ = inspect(&binary[..end], host());
        }
        // A part that must be loaded is missing.
        let loaded = replace_newer(&binary);
        assert!(inspect(&loaded[..loaded.len() / 4], host()).is_err());
        for at in 0..binary.len() {
            for value in [0, 1, 0x7f, 0x80, 0xff] {
                let mut broken = binary.clone();
                broken[at] = value;
                let _ = inspect(&broken, host());
            }
        }
    }
}
