//! The `bootstrap` of both Lambda functions; the environment says which of the two it is.

use std::process::ExitCode;

fn main() -> ExitCode {
    authorizer::run()
}
