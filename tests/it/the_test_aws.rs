//! Runs the test AWS's own checks, one for each behavior that its README describes.

use std::path::Path;
use std::process::Command;

use crate::support::{python, times};

#[test]
fn the_test_aws_behaves_as_its_readme_says() {
    times::measure();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/aws");
    let output = Command::new(python::venv(&folder.join("requirements.txt")))
        .arg("selfcheck.py")
        .current_dir(folder)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .expect("Python runs");
    let said = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{errors}");
}
